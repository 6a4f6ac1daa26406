"""Workers under a supervisor."""

from pathlib import Path

from streams.bench.faults.crew import PROCESS, SINK, Crew
from streams.settings import Settings


def test_a_victim_is_one_of_its_kind(tmp_path: Path) -> None:
    """A fault of a processing worker befalls these in turn and never the one that fills the store."""
    crew = Crew(Settings(), tmp_path, [PROCESS, PROCESS, SINK])
    assert [0, 1, 0, 1] == [crew.place_of(PROCESS, victim) for victim in range(4)]
    assert {2} == {crew.place_of(SINK, victim) for victim in range(4)}
