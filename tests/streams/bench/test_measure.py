import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.bench.measure import Measurement, MeasurementError, Sample, measure


def test_warm_up_is_left_out() -> None:
    """What came before the first sample past the warm-up counts neither as events nor as time nor as CPU."""
    samples = [
        Sample(at_s=10.0, events=0, worker_cpu_s=5.0, broker_cpu_s=1.0),
        Sample(at_s=20.0, events=99, worker_cpu_s=8.0, broker_cpu_s=2.0),
        Sample(at_s=21.0, events=200, worker_cpu_s=9.0, broker_cpu_s=2.5),
        Sample(at_s=22.0, events=600, worker_cpu_s=9.5, broker_cpu_s=3.0),
        Sample(at_s=25.0, events=1000, worker_cpu_s=11.0, broker_cpu_s=3.3),
    ]
    expected = Measurement(
        events=800,
        duration_s=4.0,
        worker_cpu_s=2.0,
        broker_cpu_s=pytest.approx(0.8),
        events_per_s=200.0,
        worker_cpu_us_per_event=2500.0,
        broker_cpu_us_per_event=pytest.approx(1000.0),
    )
    assert expected == measure(samples, events=1000, warm_up_events=100)


def test_idling_after_the_end_is_left_out() -> None:
    """Samples after the one that first shows all events done change nothing."""
    samples = [Sample(0.0, 10, 0.0, 0.0), Sample(1.0, 110, 1.0, 1.0)]
    idle = [Sample(9.0, 110, 7.0, 7.0)]
    assert measure(samples, events=110, warm_up_events=10) == measure(
        samples + idle, events=110, warm_up_events=10
    )


def test_the_start_is_never_measured() -> None:
    """Without a warm-up the measurement still begins at the first event done, not at the start."""
    samples = [Sample(0.0, 0, 0.0, 0.0), Sample(60.0, 100, 9.0, 9.0), Sample(61.0, 300, 10.0, 10.0)]
    assert 200.0 == measure(samples, events=300, warm_up_events=0).events_per_s


def test_an_end_that_was_not_reached_is_no_measurement() -> None:
    """Where events are missing there is no rate, and the error says how many."""
    samples = [Sample(0.0, 10, 0.0, 0.0), Sample(1.0, 90, 1.0, 1.0)]
    with pytest.raises(MeasurementError, match="Expected 100 events, got 90"):
        measure(samples, events=100, warm_up_events=10)


def test_no_samples_are_no_measurement() -> None:
    """Where nothing was sampled there is no rate."""
    with pytest.raises(MeasurementError, match="Expected 10 events, got 0"):
        measure([], events=100, warm_up_events=10)


def test_one_sample_is_no_measurement() -> None:
    """Where the first sample past the warm-up is also the last, no time has passed and there is no rate."""
    with pytest.raises(MeasurementError, match="at least two samples"):
        measure([Sample(0.0, 0, 0.0, 0.0), Sample(1.0, 100, 1.0, 1.0)], events=100, warm_up_events=10)


@given(
    rate=st.integers(min_value=100, max_value=10**6),
    interval_s=st.floats(min_value=0.005, max_value=0.5),
    start_s=st.floats(min_value=0.0, max_value=1e6),
)
def test_a_steady_rate_is_found(rate: int, interval_s: float, start_s: float) -> None:
    """A system of constant rate is measured at that rate, whatever the polling interval."""
    steps = 40
    samples = [Sample(start_s + i * interval_s, int(i * interval_s * rate), 0.0, 0.0) for i in range(steps)]
    events = samples[-1].events
    measured = measure(samples, events, warm_up_events=events // 10)
    assert pytest.approx(rate, rel=2 / measured.events + 1e-6) == measured.events_per_s
