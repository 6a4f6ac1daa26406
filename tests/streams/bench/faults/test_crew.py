"""Workers under a supervisor."""

from pathlib import Path

from streams.bench.faults.crew import PROCESS, SINK, Crew, Worker
from streams.settings import Settings


class SleepingCrew(Crew):
    """Whose workers do nothing."""

    def _start(self, roles: str) -> Worker:
        self.started += 1
        worker = Worker(roles, ["sleep", "600"], self._directory / f"{self.started}.log")
        worker.start()
        return worker


def test_a_victim_is_one_of_its_kind(tmp_path: Path) -> None:
    """A fault of a processing worker befalls these in turn and never the one that fills the store."""
    crew = Crew(Settings(), tmp_path, [PROCESS, PROCESS, SINK])
    assert [0, 1, 0, 1] == [crew.place_of(PROCESS, victim) for victim in range(4)]
    assert {2} == {crew.place_of(SINK, victim) for victim in range(4)}


def test_who_was_stopped_has_no_successor(tmp_path: Path) -> None:
    """Those with other roles stay, and are replaced when they are gone."""
    with SleepingCrew(Settings(), tmp_path, [PROCESS, SINK]) as crew:
        crew.supervise()
        crew.stop(PROCESS)
        taken = crew.take(1)
        assert taken is not None
        taken.kill()
        crew.supervise()
        assert (None, True) == (crew.worker(0), crew.worker(1) is not None)
        assert 3 == crew.started
        assert [] == crew.ended
