"""The learner: examples in, versions of the weights out. The weights are a function of `examples` alone."""

from collections.abc import Iterable, Sequence

from models.ftrl import Delayed, FTRLProximal
from models.gate import LIMITS, Limits
from models.parts import Kind
from models.task_learner import TaskLearner
from schemas.examples import Example
from schemas.model import Task, decode_model_record, encode_model_record

DELAYED: dict[Task, Delayed] = {"ctr": "none", "cvr": "fake_negative"}


class Learner:
    """Champion, challengers and null model of both tasks, with their progressive evaluation.

    The champion learns from every example, and so do challengers with other settings, of which one that is
    better takes its place (``models.population``). River's challenger learns from a sample that is drawn by
    the example's identity; on that sample all three models are scored, beside the champion's score on every
    example. ``Progress`` states both shares: below a ``challenger_sample`` of 1 the champion has learned
    from more than the challenger.

    Parameters
    ----------
    bits, alpha, beta, l1, l2
        As for ``models.ftrl.FTRLProximal``.
    challenger_sample
        Share of the examples that River's challenger sees; 0 is no such challenger.
    challengers
        Learners of each task that may become its champion.
    snapshot_every
        Deltas between two snapshots.
    limits
        What the gate before learning closes on. They are not published: a state that came about under others
        is taken up, and goes on under these.

    Attributes
    ----------
    tasks
        What learns each task.
    version
        Offset in `examples` after the last one learned; -1 before anything was learned.
    rejected
        Examples whose weight is beyond 1e6 either way, and updates that the champions did not apply.
    """

    def __init__(
        self,
        bits: int = 18,
        alpha: float = 0.05,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 1.0,
        challenger_sample: float = 0.05,
        snapshot_every: int = 64,
        challengers: int = 0,
        limits: Limits = LIMITS,
    ) -> None:
        self.version = -1
        self.tasks = {
            task: TaskLearner(
                task, FTRLProximal(bits, alpha, beta, l1, l2, delayed), challenger_sample, challengers, limits
            )
            for task, delayed in DELAYED.items()
        }
        self._snapshot_every = snapshot_every
        self._published_version = -1
        self._deltas = snapshot_every  # since the snapshot; the first publication after a start is one
        self._keys: set[str] = set()

    @property
    def rejected(self) -> int:
        return sum(learner.rejected for learner in self.tasks.values())

    def learn(self, examples: Sequence[Example], next_offset: int) -> None:
        """Learn examples in the topic's order; ``next_offset`` is the offset in `examples` after them.

        Batches may be cut anywhere: the state comes out the same bit for bit. Raises ValueError for an
        offset that was learned before, and for buckets beyond ``2**bits``, which means that the examples
        were made with other settings.
        """
        if next_offset < self.version:
            raise ValueError(
                f"Expected examples from offset {self.version} on, got some before {next_offset}"
            )
        for task, learner in self.tasks.items():
            learner.learn([example for example in examples if example.task == task])
        self.version = next_offset

    def publish(self) -> list[tuple[str, bytes | None]]:
        """Records (key, value) for the topic `model` that bring its readers to ``version``.

        A value of None deletes a key. The records belong into one transaction, in this order; where that
        is cut short, readers keep the version they have until the next snapshot. Nothing is returned
        while nothing was learned since the last call.
        """
        if self.version == self._published_version:
            return []
        reshaped = any(learner.population.reshaped for learner in self.tasks.values())
        is_snapshot = reshaped or self._deltas == self._snapshot_every
        self._deltas = 0 if is_snapshot else self._deltas + 1
        kind: Kind = "snapshot" if is_snapshot else "delta"
        place = "snapshot" if is_snapshot else f"delta/{self._deltas}"
        follows = -1 if is_snapshot else self._published_version
        records: dict[str, bytes | None] = {}
        watched: list[tuple[str, bytes | None]] = []  # an hour that closed may have the key of one that runs
        for task, learner in self.tasks.items():
            for model, part in learner.take_parts(kind, self.version, follows):
                records[f"{task}/{model}/{place}/{part.part}"] = encode_model_record(part)
            for key, state in learner.state_records(self.version):
                records[f"{task}/{key}"] = encode_model_record(state)
            for key, progress in learner.reports(self.version):
                records[f"{task}/progress/{key}"] = encode_model_record(progress)
            watched += (
                (f"{task}/{key}", encode_model_record(record))
                for key, record in learner.watch_records(self.version, by_slot=is_snapshot)
            )
        self._published_version = self.version
        keys = records.keys() | {key for key, _ in watched}
        stale = {key for key in self._keys - keys if not _is_kept(key)} if is_snapshot else set()
        self._keys = (self._keys | keys) - stale
        return [*records.items(), *watched, *((key, None) for key in sorted(stale))]

    def restore(self, records: Iterable[tuple[str, bytes | None]]) -> None:
        """Take up the state from the topic `model`, read from its beginning to its end.

        For a learner that has learned nothing yet. Afterwards ``version`` is the offset to go on from, and
        the state equals that of the writer at that version; only the AUC starts anew. Raises ValueError
        where the records do not make up one version of everything or were written with other settings.
        """
        for key, value in records:
            if value is None:
                self._keys.discard(key)
                continue
            self._keys.add(key)
            record = decode_model_record(value)
            self.tasks[record.task].take(record)
        versions = sorted({version for learner in self.tasks.values() for version in learner.versions()})
        if len(versions) > 1:
            raise ValueError(
                f"Expected one version of all weights in topic `model`, got {versions}: it is incomplete; "
                "delete its records to learn again from the first example"
            )
        for learner in self.tasks.values():
            learner.resume()
        self.version = self._published_version = versions[0]

    def differences(self, other: "Learner") -> list[str]:
        """What of the state differs in any bit, as ``ctr.z``; challenger and AUC aside."""
        return [
            f"{task}.{name}"
            for task, learner in self.tasks.items()
            for name in learner.differences(other.tasks[task])
        ]


def _is_kept(key: str) -> bool:
    """Whether a record of the topic stays for good: the audit of changes."""
    return key.split("/")[1] == "change"
