"""What can befall a job, by what it stands on."""

from pathlib import Path

import pytest

from streams.bench.faults.bed import Bed
from streams.bench.faults.plan import STORE_KINDS, WORKER_KINDS
from streams.embedded.platform import EngineProcess


def test_a_store_brings_its_faults(tmp_path: Path) -> None:
    """With a store it is killed, and the worker that fills it; all other kinds stay as they are."""
    pytest.importorskip("chdb")
    bed = Bed("127.0.0.1:9092", None, EngineProcess(tmp_path / "engine"))
    assert (*WORKER_KINDS, *STORE_KINDS) == bed.kinds
    assert not {*bed.kinds} & bed.left_out.keys()


def test_without_a_store_its_faults_are_left_out() -> None:
    """They are named, with what to install."""
    bed = Bed("127.0.0.1:9092", None, None)
    assert WORKER_KINDS == bed.kinds
    assert all("headrace[embedded]" in bed.left_out[kind] for kind in STORE_KINDS)
