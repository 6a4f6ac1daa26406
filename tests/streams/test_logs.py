import logging

from streams.logs import REPEATED_AFTER_S, LastError, Sparing, WithoutTraceback


class Clock:
    """Stands still until it is set."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def record(name, message, error=None):
    return logging.LogRecord(name, logging.ERROR, "", 0, message, None, error and (type(error), error, None))


def test_a_library_that_repeats_itself_is_heard_once_in_a_while():
    """The same words pass once in ten seconds, with the number of times that they were held back."""
    clock = Clock()
    sparing = Sparing("aiokafka", clock=clock)
    assert [True, False, False] == [sparing.filter(record("aiokafka.client", "away")) for _ in range(3)]
    assert sparing.filter(record("aiokafka.client", "something else"))
    clock.now_s = REPEATED_AFTER_S
    again = record("aiokafka.client", "away")
    assert sparing.filter(again)
    assert "away (and 2 times before, not shown)" == again.getMessage()


def test_our_own_words_are_never_spared():
    """What Headrace says is shown as often as it says it."""
    sparing = Sparing("aiokafka", clock=Clock())
    assert [True, True] == [sparing.filter(record("streams.sinks.writer", "again")) for _ in range(2)]


def test_a_traceback_is_left_out_where_it_helps_nobody():
    """Only of the errors that are named; the record itself passes."""
    for error, is_shown in ((KeyError("x"), False), (ValueError("x"), True)):
        logged = record("mode", "crashed", error)
        assert WithoutTraceback(KeyError).filter(logged)
        assert is_shown == (logged.exc_info is not None)


def test_the_last_error_is_remembered():
    """Whoever ends a worker can say why, though the library that caught the error only logged it."""
    last, error = LastError(), KeyError("x")
    for logged in (record("mode", "first", ValueError("y")), record("mode", "then", error)):
        last.emit(logged)
    last.emit(record("mode", "stopping"))
    assert error is last.error
