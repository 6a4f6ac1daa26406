"""Who has to wait for an earlier order of the same user."""

from bisect import insort

from streams.processor.timers import Kind, Timer, Timers


class Turns:
    """What is due of a user while an order of theirs waits for a verdict: it waits behind the order.

    So a user's orders and refunds take effect in the order in which they are due, and no click goes before
    what it may earn. After a restart what waits behind an order is due again.
    """

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self._queues: dict[int, list[Timer]] = {}
        """By user, sorted; the first is the order."""
        timers.due[Kind.TURN] = self._turn_due

    def hold(self, user: int, order: Timer, until_ms: int) -> None:
        """Let an order wait that is due; it is told again at a deadline, after the verdicts."""
        self.timers.add(*self.restored(user, order, until_ms))

    def restored(self, user: int, order: Timer, until_ms: int) -> Timer:
        """Timer of an order that has been loaded and that waits."""
        insort(self._queues.setdefault(user, []), order)
        return until_ms, Kind.TURN, user

    def is_behind(self, user: int, timer: Timer) -> bool:
        """Whether this has to wait for an order that was due before; then it is told again after it."""
        queue = self._queues.get(user)
        if queue is None or timer < queue[0]:
            return False
        if timer not in queue:
            insort(queue, timer)
        return True

    def clear(self) -> None:
        """All are about to be loaded anew."""
        self._queues = {}

    def _turn_due(self, user: int, deadline_ms: int) -> None:
        if user not in self._queues:
            return  # told before, of an order that has had its turn
        (_, kind, key), *behind = self._queues.pop(user)
        self.timers.due[kind](key, deadline_ms)
        for timer in behind:
            self.timers.add(*timer)
