import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.delays import BINS, FIRST_S, ConversionDelays, delay_bin, draw_age_ms
from models.ftrl import FTRLProximal
from models.hashing import mix
from schemas.model import decode_model_record, encode_model_record

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


def tickets(count):
    return [int(mix(np.uint64(number))) >> 1 for number in range(count)]


@given(st.integers(0, 2**63 - 1), st.integers(1, 2**53))
def test_ages_lie_inside_the_window(ticket, window_ms):
    """Whatever is drawn, a click is learned before the window of its orders ends."""
    age_ms, stands_for = draw_age_ms(ticket, window_ms)
    assert 0 <= age_ms < window_ms
    assert 1 <= stands_for <= BINS


@pytest.mark.parametrize("window_ms", [60_000, 3_600_000, WEEK_MS])
def test_each_bin_has_the_same_share_of_ages(window_ms):
    """The weight is one by the bin's probability, so that the weights of a bin count all clicks."""
    drawn = [draw_age_ms(ticket, window_ms) for ticket in tickets(20_000)]
    bins = drawn[0][1]
    counts = np.bincount([delay_bin(age_ms) for age_ms, _ in drawn], minlength=bins)
    assert bins == len(counts)
    assert counts * bins == pytest.approx(20_000, rel=0.1)


def test_ages_spread_evenly_inside_a_bin():
    """The mean age of a bin is its middle."""
    ages_s = np.array([draw_age_ms(ticket, WEEK_MS)[0] for ticket in tickets(20_000)]) / 1000
    second = ages_s[(ages_s >= FIRST_S) & (ages_s < 2 * FIRST_S)]
    assert second.mean() == pytest.approx(1.5 * FIRST_S, rel=0.01)


def stream(seed, clicks, mean_ms, span_ms, rate=0.1):
    """Labels, ages and weights of clicks and their conversions, in the order in which they are told."""
    random = np.random.default_rng(seed)
    told = []
    for ticket in random.integers(0, 2**62, clicks).tolist():
        clicked_ms = random.uniform(0, span_ms)
        age_ms, stands_for = draw_age_ms(ticket, WEEK_MS)
        told.append((clicked_ms + age_ms, False, age_ms, stands_for))
        delay_ms = int(random.exponential(mean_ms))
        if random.random() < rate and delay_ms <= WEEK_MS:
            told.append((clicked_ms + delay_ms, True, delay_ms, 1.0))
    told = sorted(one for one in told if one[0] <= span_ms)
    return tuple(np.array(column) for column in list(zip(*told, strict=True))[1:])


@pytest.mark.parametrize("mean_ms", [DAY_MS / 4, DAY_MS])
def test_the_law_is_found_though_the_stream_is_young(mean_ms):
    """After ten days the shares by age are those of the law, though long delays had less time to come."""
    labels, ages_ms, weights = stream(1, 25_000, mean_ms, 10 * DAY_MS)
    delays = ConversionDelays()
    delays.weigh(labels, ages_ms, weights.astype(float))
    edges_ms = np.concatenate(([0.0], 1000 * FIRST_S * 2.0 ** np.arange(10)))
    edges_ms[-1] = WEEK_MS
    expected = np.diff(1 - np.exp(-edges_ms / mean_ms))
    assert delays.shares()[:10] == pytest.approx(expected / expected.sum(), abs=0.02)


@pytest.mark.parametrize("span_days", [2, 4, 12])
def test_the_ratio_is_right_at_every_moment(span_days):
    """Positives by weights of negatives is the rate also while most conversions are still to come."""
    labels, ages_ms, weights = stream(2, 25_000, DAY_MS, span_days * DAY_MS)
    weighed = ConversionDelays().weigh(labels, ages_ms, weights.astype(float))
    assert labels.sum() / weighed[~labels].sum() == pytest.approx(0.1, rel=0.1)
    assert weights[~labels].sum() > 1.2 * weighed[~labels].sum() or span_days == 12


def test_a_new_features_rate_is_right_from_the_first_days():
    """Beside an old stream a feature that is two days old is not taken for one that nobody buys of."""
    old, new = stream(3, 15_000, DAY_MS, 14 * DAY_MS), stream(4, 10_000, DAY_MS, 2 * DAY_MS)
    labels, ages_ms, weights = (np.concatenate(pair) for pair in zip(old, new, strict=True))
    weighed = ConversionDelays().weigh(labels, ages_ms, weights.astype(float))
    is_new = np.arange(len(labels)) >= len(old[0])
    model = FTRLProximal(bits=4, alpha=0.5, delayed="fake_negative")
    rows = np.where(is_new, 7, 3).astype(np.uint32), np.arange(len(labels) + 1)
    model.learn_many_hashed(*rows, labels, weighed)
    p = model.predict_many_hashed(np.array([7], np.uint32), np.array([0, 1]))[0]
    assert p == pytest.approx(0.1, rel=0.15)


@given(st.integers(0, 2**32), st.integers(0, 30))
def test_batches_leave_no_trace(seed, cut):
    """Cut anywhere, and saved and restored there, weights and state are the same bit for bit."""
    random = np.random.default_rng(seed)
    labels = random.random(30) < 0.3
    ages_ms = random.integers(0, 2 * WEEK_MS, 30)
    weights = random.choice([1.0, 10.0, -1.0], 30)
    whole, first, second = ConversionDelays(), ConversionDelays(), ConversionDelays()
    expected = whole.weigh(labels, ages_ms, weights)
    parts = [first.weigh(labels[:cut], ages_ms[:cut], weights[:cut])]
    second.restore(decode_model_record(encode_model_record(first.record("cvr", 1))))
    parts.append(second.weigh(labels[cut:], ages_ms[cut:], weights[cut:]))
    assert expected.tobytes() == np.concatenate(parts).tobytes()
    assert whole.conversions.tobytes() == second.conversions.tobytes()
    assert whole.clicks.tobytes() == second.clicks.tobytes()


def test_a_refund_takes_its_delay_back():
    """A conversion that is taken back has told nothing of when conversions come."""
    delays = ConversionDelays()
    expected = delays.shares()
    ages_ms = np.full(2, DAY_MS)
    weights = delays.weigh(np.array([True, True]), ages_ms, np.array([1.0, -1.0]))
    assert [1.0, -1.0] == weights.tolist()
    assert expected.tolist() == delays.shares().tolist()


@given(st.lists(st.tuples(st.booleans(), st.integers(-(2**62), 2**62), st.floats(-1e6, 1e6)), max_size=20))
def test_weights_stay_finite(stream):
    """No ages and no weights, however odd, make anything but finite weights; none changes its sign."""
    labels, ages_ms, weights = (np.array([row[i] for row in stream]) for i in range(3))
    weighed = ConversionDelays().weigh(labels.astype(bool), ages_ms.astype(np.int64), weights.astype(float))
    assert np.isfinite(weighed).all()
    assert (np.abs(weighed) <= np.abs(weights) * (1 + 1e-9)).all()
    assert (weighed * weights >= 0.0).all()
