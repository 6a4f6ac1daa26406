"""What a worker says, and what it spares its reader."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIETEST = {
    "aiokafka": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "kafka": logging.ERROR,
}
"""What they say below that is noise: kafka-python warns of each member whose assignor is not its own."""

REPEATED_AFTER_S = 10.0
"""While a broker is away aiokafka says so 200 times a second."""


class WithoutTraceback(logging.Filter):
    """Lets pass what is logged, without the traceback of what only an operator can mend."""

    def __init__(self, *errors: type[Exception]) -> None:
        super().__init__()
        self._errors = errors

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], self._errors):
            record.exc_info = None
        return True


class Sparing(logging.Filter):
    """Lets a library say the same thing once in a while, and then how often it would have said it."""

    def __init__(self, *libraries: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._libraries = libraries
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in self._libraries:
            return True
        what, now_s = (record.name, str(record.msg)), self._clock()
        said_s, withheld = self._said.get(what, (-REPEATED_AFTER_S, 0))
        if now_s - said_s < REPEATED_AFTER_S:
            self._said[what] = said_s, withheld + 1
            return False
        self._said[what] = now_s, 0
        if withheld:
            record.msg = f"{record.msg} (and {withheld:,} times before, not shown)"
        return True


class LastError(logging.Handler):
    """Remembers the newest exception that was logged: where starting fails nobody else keeps it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.error = record.exc_info[1]


@contextmanager
def silent(*libraries: str) -> Iterator[None]:
    """These libraries log nothing inside."""
    levels = {name: logging.getLogger(name).level for name in libraries}
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def start(level: str, *without_traceback: type[Exception]) -> LastError:
    """Log to stderr from this level on, tracebacks of these errors left out."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name, quietest in QUIETEST.items():
        logging.getLogger(name).setLevel(max(quietest, logging.getLevelName(level)))
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithoutTraceback(*without_traceback))
        handler.addFilter(Sparing(*QUIETEST))
    last_error = LastError()
    logging.getLogger().handlers.insert(0, last_error)  # before those that take the traceback away
    return last_error
