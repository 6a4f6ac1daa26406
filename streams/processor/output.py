"""What the processor has to say, encoded, until delivery takes it away."""

import msgspec

from schemas.dead_letters import DeadLetter

Message = tuple[bytes | None, bytes]
"""Key and value of a record to be produced."""


encode = msgspec.json.Encoder().encode
"""JSON of a record; a struct with its fields by position takes half the time of a dict."""


def message_key(user_id: str) -> bytes | None:
    """Key of a record about a user; None where it is about nobody."""
    return user_id.encode() if user_id else None


class Output:
    """Messages by topic, in the order in which they came about."""

    def __init__(self) -> None:
        self.decisions: list[Message] = []
        self.outcomes: list[Message] = []
        self.examples: list[Message] = []
        self.dead_letters: list[Message] = []
        self.identities: list[tuple[int, bytes]] = []
        """Partition that it is for, and value, of each record of ``schemas.topics.IDENTITIES``."""

    @property
    def uncommitted(self) -> int:
        """Records that wait for the checkpoint."""
        return len(self.outcomes) + len(self.examples) + len(self.dead_letters) + len(self.identities)

    def take_decisions(self) -> list[Message]:
        """The decisions since the last call: they leave at once."""
        taken, self.decisions = self.decisions, []
        return taken

    def take_committed(self) -> tuple[list[Message], list[Message], list[Message]]:
        """Outcomes, examples and dead letters since the last call: they leave with the checkpoint."""
        taken = self.outcomes, self.examples, self.dead_letters
        self.outcomes, self.examples, self.dead_letters = [], [], []
        return taken

    def take_identities(self) -> dict[int, list[tuple[None, bytes]]]:
        """What is for other partitions since the last call, by partition: it leaves with the checkpoint."""
        taken: dict[int, list[tuple[None, bytes]]] = {}
        for partition, value in self.identities:
            taken.setdefault(partition, []).append((None, value))
        self.identities = []
        return taken

    def dead_letter(self, letter: DeadLetter) -> None:
        """Put aside an event that cannot be used."""
        self.dead_letters.append((None, encode(letter)))
