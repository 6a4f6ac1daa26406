"""The arithmetic of a measurement: samples in, a rate and its cost in CPU out."""

from collections.abc import Sequence

from msgspec import Struct


class Sample(Struct, frozen=True):
    """How far a system was at one moment."""

    at_s: float
    """Monotonic clock."""
    events: int
    """Done since the start; never falls from one sample to the next."""
    worker_cpu_s: float
    broker_cpu_s: float
    """CPU time since the start of the process, all threads, user and system."""


class Measurement(Struct, frozen=True):
    """One run of one system, after its warm-up."""

    events: int
    duration_s: float
    worker_cpu_s: float
    broker_cpu_s: float
    events_per_s: float
    worker_cpu_us_per_event: float
    broker_cpu_us_per_event: float
    learned_after_s: float | None = None
    """What Headrace's learner, which runs beside, still needed after the last event."""


class MeasurementError(RuntimeError):
    """The samples do not tell a rate."""


def measure(samples: Sequence[Sample], events: int, warm_up_events: int) -> Measurement:
    """The rate from the first sample past the warm-up to the first one at which all events were done.

    The warm-up has at least one event, so that start, join and compilation are never measured.

    Raises:
        MeasurementError: The end was not reached, or one sample is both the first and the last.

    >>> samples = [Sample(0.0, 0, 0.0, 0.0), Sample(3.0, 100, 1.0, 0.5), Sample(5.0, 500, 2.0, 1.5)]
    >>> measure(samples, events=500, warm_up_events=50).events_per_s
    200.0
    """
    first = _first_at(samples, max(1, warm_up_events))
    last = _first_at(samples, events)
    done, duration_s = last.events - first.events, last.at_s - first.at_s
    if not done or not duration_s:
        raise MeasurementError(
            f"Expected at least two samples between {max(1, warm_up_events):,} and {events:,} events, "
            "got one: take more events"
        )
    worker_cpu_s = last.worker_cpu_s - first.worker_cpu_s
    broker_cpu_s = last.broker_cpu_s - first.broker_cpu_s
    return Measurement(
        events=done,
        duration_s=duration_s,
        worker_cpu_s=worker_cpu_s,
        broker_cpu_s=broker_cpu_s,
        events_per_s=done / duration_s,
        worker_cpu_us_per_event=1e6 * worker_cpu_s / done,
        broker_cpu_us_per_event=1e6 * broker_cpu_s / done,
    )


def _first_at(samples: Sequence[Sample], events: int) -> Sample:
    for sample in samples:
        if sample.events >= events:
            return sample
    reached = samples[-1].events if samples else 0
    raise MeasurementError(f"Expected {events:,} events, got {reached:,}")
