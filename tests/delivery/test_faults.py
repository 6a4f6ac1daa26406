"""The bounded form of ``headrace bench faults``."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from streams.bench.faults.plan import STORE_KINDS
from streams.bench.faults.report import Plan, run_all
from streams.embedded.process import MissingPackageError

EMBEDDED = shutil.which("java") is None
PLAN = Plan(seed=2, minutes=8.0, nodes=1, embedded=EMBEDDED, events=60_000, faults=5, workers=2)


@(pytest.mark.broker if EMBEDDED else pytest.mark.kafka)
def test_seeded_faults_change_nothing(tmp_path: Path) -> None:
    """A disturbed stream, five faults: nothing is lost or doubled, be it a decision, a micro or a row."""
    befallen: list[None] = []
    try:
        report = run_all(PLAN, tmp_path, lambda: befallen.append(None))
    except MissingPackageError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert PLAN.faults == len(befallen) == sum(report.faults.values())
    assert [{}, {}] == [run.comparison.first for run in report.runs]
    if find_spec("chdb") is not None:
        assert set(STORE_KINDS) <= report.faults.keys()
        assert [{}, {}] == [run.store.first for run in report.runs if run.store is not None]
    assert report.learner_weights_equal
    assert report.passed
