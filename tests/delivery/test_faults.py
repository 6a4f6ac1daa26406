"""The bounded form of ``headrace bench faults``."""

import os
import shutil
from pathlib import Path

import pytest

from streams.bench.faults.report import Plan, run_all
from streams.embedded.process import MissingPackageError

EMBEDDED = shutil.which("java") is None
PLAN = Plan(seed=1, minutes=8.0, nodes=1, embedded=EMBEDDED, events=60_000, faults=5, workers=2)


@(pytest.mark.broker if EMBEDDED else pytest.mark.kafka)
def test_seeded_faults_change_nothing(tmp_path: Path) -> None:
    """A disturbed stream, five faults: no decision, count, outcome, example or micro is lost or doubled."""
    befallen: list[None] = []
    try:
        report = run_all(PLAN, tmp_path, lambda: befallen.append(None))
    except MissingPackageError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert PLAN.faults == len(befallen) == sum(report.faults.values())
    assert [{}, {}] == [run.comparison.first for run in report.runs]
    assert report.learner_weights_equal
    assert report.passed
