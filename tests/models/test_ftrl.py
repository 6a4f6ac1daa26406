import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ftrl import FTRLProximal, closed_form


class TranscribedFTRL:
    """Algorithm 1 of McMahan et al. 2013, line by line, in plain Python floats."""

    def __init__(self, alpha, beta, l1, l2):
        self.alpha, self.beta, self.l1, self.l2 = alpha, beta, l1, l2
        self.z = {}
        self.n = {}

    def weight(self, i):
        z, n = self.z.get(i, 0.0), self.n.get(i, 0.0)
        if abs(z) <= self.l1:
            return 0.0
        sign = 1.0 if z > 0 else -1.0
        return -(((self.beta + math.sqrt(n)) / self.alpha + self.l2) ** -1) * (z - sign * self.l1)

    def learn(self, x, y):
        w = {i: self.weight(i) for i in x}
        p = 1.0 / (1.0 + math.exp(-sum(x[i] * w[i] for i in x)))
        for i in x:
            g = (p - y) * x[i]
            n = self.n.get(i, 0.0)
            sigma = (math.sqrt(n + g * g) - math.sqrt(n)) / self.alpha
            self.z[i] = self.z.get(i, 0.0) + g - sigma * w[i]
            self.n[i] = n + g * g
        return p


def random_rows(seed, examples, bits, most=8):
    """Examples of 0 to ``most`` buckets, repeats included."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, most + 1, examples)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    buckets = random.integers(0, 1 << bits, offsets[-1]).astype(np.uint32)
    return buckets, offsets, random.random(examples) < 0.3, random.uniform(0.0, 2.0, examples)


def assert_same_state(expected, actual):
    assert expected.z.tobytes() == actual.z.tobytes()
    assert expected.n.tobytes() == actual.n.tobytes()


@pytest.mark.parametrize("l1", [0.0, 0.5])
def test_equals_the_paper(l1):
    """After 10,000 sparse examples every weight is the transcription's within 1e-9."""
    random = np.random.default_rng(1)
    rows = [random.choice(1024, 10, replace=False) for _ in range(10_000)]
    truth = random.normal(0, 1, 1024)
    labels = np.array([random.random() < 1 / (1 + math.exp(-truth[row].sum())) for row in rows])
    transcribed = TranscribedFTRL(alpha=0.1, beta=1.0, l1=l1, l2=1.0)
    model = FTRLProximal(bits=10, alpha=0.1, beta=1.0, l1=l1, l2=1.0)
    expected = [
        transcribed.learn(dict.fromkeys(row.tolist(), 1.0), int(label))
        for row, label in zip(rows, labels, strict=True)
    ]
    predictions = model.learn_many_hashed(
        np.concatenate(rows).astype(np.uint32), np.arange(0, 100_001, 10), labels, np.ones(10_000)
    )
    assert np.abs(predictions - expected).max() <= 1e-9
    assert max(abs(model.weights()[i] - transcribed.weight(i)) for i in range(1024)) <= 1e-9


def test_values_equal_the_paper():
    """The dictionary API learns from values as the transcription does."""
    random = np.random.default_rng(2)
    transcribed = TranscribedFTRL(alpha=0.1, beta=1.0, l1=0.1, l2=0.5)
    model = FTRLProximal(bits=18, alpha=0.1, beta=1.0, l1=0.1, l2=0.5)
    for _ in range(300):
        x = {f"f{i}": float(random.normal()) for i in random.choice(20, 5, replace=False)}
        y = bool(random.random() < 0.5)
        assert model.predict_proba_one(x)[True] == pytest.approx(transcribed.learn(x, y), abs=1e-9)
        model.learn_one(x, y)


def test_small_z_gives_exactly_zero():
    """A weight is exactly 0 where |z| <= l1, the bound included, and not beyond."""
    z = np.array([0.0, 1.0, -1.0, 0.999, np.nextafter(1.0, 2.0), -3.0])
    weights = closed_form(z, np.ones(6), alpha=0.1, beta=1.0, l1=1.0, l2=0.0)
    assert [True, True, True, True, False, False] == (weights == 0.0).tolist()


def test_weights_return_to_zero():
    """With l1, a weight that evidence had raised falls back to exactly 0 when evidence turns."""
    model = FTRLProximal(bits=4, alpha=1.0, l1=0.4)
    row = np.array([3], np.uint32), np.array([0, 1]), np.ones(1)
    was_raised = False
    for _ in range(50):
        label = np.array([model.z[3] >= 0.0])
        model.learn_many_hashed(row[0], row[1], label, row[2])
        was_raised |= bool(model.weights()[3] != 0.0)
        if was_raised and model.weights()[3] == 0.0:
            break
    assert was_raised
    assert 0.0 == model.weights()[3]
    assert 0.0 != model.z[3]


@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from(["none", "fake_negative"]),
)
def test_batches_equal_one_by_one(seed, cuts, delayed):
    """However a stream is cut into batches, predictions and state are the same bit for bit."""
    buckets, offsets, labels, weights = random_rows(seed, 60, bits=5)
    whole = FTRLProximal(bits=5, alpha=0.3, l1=0.1, delayed=delayed)
    expected = whole.learn_many_hashed(buckets, offsets, labels, weights)
    cut = FTRLProximal(bits=5, alpha=0.3, l1=0.1, delayed=delayed)
    actual = []
    edges = sorted({0, 60, *cuts})
    for start, end in pairwise(edges):
        rows = slice(offsets[start], offsets[end])
        actual.append(
            cut.learn_many_hashed(
                buckets[rows],
                offsets[start : end + 1] - offsets[start],
                labels[start:end],
                weights[start:end],
            )
        )
    assert expected.tobytes() == np.concatenate(actual).tobytes()
    assert_same_state(whole, cut)


def test_prediction_before_learning():
    """Learning returns what predicting would have said before."""
    buckets, offsets, labels, weights = random_rows(3, 200, bits=6)
    model = FTRLProximal(bits=6)
    model.learn_many_hashed(buckets, offsets, labels, weights)
    for start, end in pairwise(offsets[:50]):
        row = buckets[start:end], np.array([0, end - start])
        expected = model.predict_many_hashed(*row)
        assert expected == model.learn_many_hashed(*row, np.array([True]), np.ones(1))


def test_a_bucket_twice_counts_twice():
    """A repeated bucket adds its weight twice and is updated twice with the gradient of one."""
    model = FTRLProximal(bits=4)
    model.learn_many_hashed(np.array([5, 5], np.uint32), np.array([0, 2]), np.array([True]), np.ones(1))
    assert (-1.0, 0.5) == (model.z[5], model.n[5])
    weight = model.weights()[5]
    p = model.predict_many_hashed(np.array([5, 5], np.uint32), np.array([0, 2]))[0]
    assert p == pytest.approx(1 / (1 + math.exp(-2 * weight)))


numbers = st.floats(allow_nan=True, allow_infinity=True)
values = st.one_of(numbers, st.text(max_size=3), st.none(), st.booleans(), st.sampled_from([1e308, -1e308]))


@given(
    st.lists(st.tuples(st.dictionaries(st.text(max_size=3), values, max_size=5), st.booleans(), numbers)),
    st.sampled_from([1e-6, 0.1, 1e6]),
)
def test_state_stays_finite(stream, alpha):
    """No features and no weights, however odd, make state, weights or predictions anything but finite."""
    model = FTRLProximal(bits=3, alpha=alpha)
    for x, y, w in stream:
        p = model.predict_proba_one(x)[True]
        assert 0.0 <= p <= 1.0
        model.learn_one(x, y, w)
    assert np.isfinite(model.z).all()
    assert np.isfinite(model.n).all()
    assert np.isfinite(model.weights()).all()


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_unusable_updates_are_counted(weight):
    """An update by an unusable weight leaves the state as it was and is counted."""
    model = FTRLProximal(bits=4)
    model.learn_one({"a": 1.0}, True)
    expected = model.clone(include_attributes=True)
    model.learn_one({"a": 1.0, "b": 2.0}, True, weight)
    assert 2 == model.rejected
    assert_same_state(expected, model)


def test_a_negative_weight_takes_an_example_back():
    """The label's pull is reversed: a positive that is taken back leaves p about where it was before."""
    model = FTRLProximal(bits=4)
    x = {"a": 1.0}
    for _ in range(200):
        model.learn_one(x, False)
    before = model.predict_proba_one(x)[True]
    model.learn_one(x, True)
    raised = model.predict_proba_one(x)[True]
    model.learn_one(x, True, -1.0)
    assert abs(model.predict_proba_one(x)[True] - before) < 0.1 * (raised - before)


def test_an_update_beyond_bounds_is_undone():
    """An update that would drive z out of its bounds is not applied, though all input was finite."""
    model = FTRLProximal(bits=4)
    model.learn_one({"a": 1e15}, True, 1e134)
    model.z[model.occupied()] = -9e149
    expected = model.clone(include_attributes=True)
    model.learn_one({"a": 1e15}, False, 1e135)
    assert 1 == model.rejected
    assert_same_state(expected, model)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_values_that_are_left_out(value):
    """NaN, infinities and None are as if the feature were not there."""
    with_value, without = FTRLProximal(bits=8), FTRLProximal(bits=8)
    with_value.learn_one({"a": 1.0, "b": value}, True)
    without.learn_one({"a": 1.0}, True)
    assert_same_state(without, with_value)


def test_huge_values_are_clipped():
    """A value beyond 1e15 learns as 1e15 does."""
    huge, bound = FTRLProximal(bits=8), FTRLProximal(bits=8)
    huge.learn_one({"a": 1e300}, True)
    bound.learn_one({"a": 1e15}, True)
    assert 0 == huge.rejected
    assert_same_state(bound, huge)


@given(st.dictionaries(st.text(max_size=3), values, min_size=1), st.randoms())
def test_order_of_keys_has_no_effect(x, random):
    """The same dictionary in another order gives the same bits."""
    keys = list(x)
    random.shuffle(keys)
    straight, shuffled = FTRLProximal(bits=3), FTRLProximal(bits=3)
    for label in (True, False, True):
        straight.learn_one(x, label)
        shuffled.learn_one({key: x[key] for key in keys}, label)
    assert straight.predict_proba_one(x) == shuffled.predict_proba_one(x)
    assert_same_state(straight, shuffled)


def test_strings_are_values_of_their_own():
    """A string is the feature ``name=value``, so that two strings of one name have two weights."""
    model = FTRLProximal()
    for _ in range(20):
        model.learn_one({"device": "phone"}, True)
        model.learn_one({"device": "desktop"}, False)
    assert model.predict_proba_one({"device": "phone"})[True] > 0.5
    assert model.predict_proba_one({"device": "desktop"})[True] < 0.5
    assert model.predict_proba_one({"device": "phone"}) == model.predict_proba_one({"device=phone": 1.0})


def test_clone_is_independent():
    """A clone has the settings and nothing learned, and learning leaves it alone."""
    model = FTRLProximal(bits=6, alpha=0.2, delayed="fake_negative")
    model.learn_one({"a": 1.0}, True)
    clone = model.clone()
    model.learn_one({"a": 1.0}, True)
    assert not clone.z.any()
    assert (6, 0.2, "fake_negative") == (clone.bits, clone.alpha, clone.delayed)


@pytest.mark.parametrize("every", [50, 3])
def test_fake_negatives_converge_to_the_conversion_rate(every):
    """Where each conversion is one negative and then one positive, p converges to conversions / clicks."""
    clicks = 60_000
    labels = np.concatenate([[False, True] if i % every == 0 else [False] for i in range(clicks)])
    rows = np.ones(labels.size, np.uint32), np.arange(labels.size + 1), labels, np.ones(labels.size)
    corrected = FTRLProximal(bits=4, alpha=0.5, delayed="fake_negative").learn_many_hashed(*rows)
    naive = FTRLProximal(bits=4, alpha=0.5).learn_many_hashed(*rows)
    assert corrected[labels.size // 2 :].mean() == pytest.approx(1 / every, rel=0.02)
    assert naive[labels.size // 2 :].mean() == pytest.approx(1 / (every + 1), rel=0.02)


def test_touched_buckets_are_taken_once():
    """``take_touched`` gives every changed bucket once, in order, and then starts anew."""
    model = FTRLProximal(bits=4)
    row = np.array([9, 2, 9], np.uint32), np.array([0, 3]), np.array([True]), np.ones(1)
    model.learn_many_hashed(*row)
    assert [2, 9] == model.take_touched().tolist()
    assert [] == model.take_touched().tolist()
    assert [2, 9] == model.occupied().tolist()


@pytest.mark.parametrize(
    ("buckets", "offsets", "message"),
    [
        ([16], [0, 1], r"Expected buckets below 2\*\*4, got 16"),
        ([1, 2], [0, 1], "Expected offsets that rise from 0 to 2"),
        ([1, 2], [1, 2], "Expected offsets that rise from 0 to 2"),
        ([1, 2], [0, 5, 2], "Expected offsets that rise from 0 to 2"),
    ],
)
def test_rows_outside_the_state_are_refused(buckets, offsets, message):
    """Rows that would read or write outside the arrays raise before anything is touched."""
    model = FTRLProximal(bits=4)
    with pytest.raises(ValueError, match=message):
        model.predict_many_hashed(np.array(buckets, np.uint32), np.array(offsets))


@pytest.mark.parametrize(
    "settings",
    [
        {"alpha": 0.0},
        {"alpha": 1e7},
        {"beta": -1.0},
        {"l1": math.nan},
        {"beta": 0.0, "l2": 0.0},
        {"bits": 0},
        {"delayed": "x"},
    ],
)
def test_unusable_settings_are_refused(settings):
    """Settings without a finite weight for every state raise."""
    with pytest.raises(ValueError, match="Expected"):
        FTRLProximal(**settings)


def labelled_rows(seed, count=10_000):
    """Rows of 10 of 1,024 buckets with labels by a linear truth."""
    random = np.random.default_rng(seed)
    rows = np.concatenate([random.choice(1024, 10, replace=False) for _ in range(count)]).astype(np.uint32)
    logits = random.normal(0, 1, 1024)[rows.reshape(count, 10)].sum(axis=1)
    labels = random.random(count) < 1 / (1 + np.exp(-logits))
    return rows, np.arange(count + 1) * 10, labels, np.ones(count)


@pytest.mark.parametrize("l1", [0.0, 0.5])
def test_float32_is_close(l1):
    """Kept as float32, no weight is off by 1e-6 after 10,000 examples; |z| <= l1 gives exactly 0."""
    rows = labelled_rows(1)
    exact, rounded = (
        FTRLProximal(bits=10, alpha=0.1, l1=l1, storage=storage) for storage in ("float64", "float32")
    )
    for model in (exact, rounded):
        model.learn_many_hashed(*rows)
    assert (np.float32, np.float32) == (rounded.z.dtype, rounded.n.dtype)
    assert 0.0 < np.abs(exact.weights() - rounded.weights()).max() <= 1e-6
    assert not rounded.weights()[np.abs(rounded.z) <= l1].any()


def test_readers_of_float32_state_have_the_writers_weights():
    """Weights derived from the state as float64, as it travels, are the kernel's bit for bit."""
    model = FTRLProximal(bits=10, storage="float32")
    model.learn_many_hashed(*labelled_rows(2, 500))
    travelled = closed_form(
        model.z.astype(np.float64), model.n.astype(np.float64), model.alpha, model.beta, model.l1, model.l2
    )
    assert model.weights().tobytes() == travelled.tobytes()


@pytest.mark.parametrize("storage", ["float64", "float32"])
def test_state_stays_finite_at_the_edge(storage):
    """A weight of 1e25 on a value of 1e15 is beyond float32 and within float64; both stay finite."""
    model = FTRLProximal(bits=4, storage=storage)
    model.learn_one({"a": 1e15}, True, 1e25)
    assert (storage == "float32") == (model.rejected == 1)
    assert np.isfinite(model.z).all()
    assert np.isfinite(model.n).all()


def test_variances_are_the_inverse_information():
    """Of 20,000 examples at a known rate a variance is 1 / (prior + n p (1 - p)), to a twentieth."""
    model = FTRLProximal(bits=1, alpha=0.3, l2=0.01)
    labels = np.random.default_rng(5).random(20_000) < 0.3
    model.learn_many_hashed(np.zeros(20_000, np.uint32), np.arange(20_001), labels, np.ones(20_000))
    assert model.variances()[0] == pytest.approx(1.0 / (1.0 / 0.3 + 0.01 + 20_000 * 0.3 * 0.7), rel=0.05)


def test_the_variance_of_a_logit_is_the_sum_of_its_weights():
    """A bucket that is there twice counts twice; what was never seen has the prior's variance."""
    model = FTRLProximal(bits=4, alpha=0.5, beta=1.0, l2=2.0)
    model.learn_many_hashed(np.array([3], np.uint32), np.array([0, 1]), np.array([True]), np.ones(1))
    variances = model.variances()
    assert 1.0 / (1.0 / 0.5 + 2.0) == variances[0]
    assert variances[3] < variances[0]
    actual = model.logit_variances_many_hashed(np.array([3, 0, 0, 3], np.uint32), np.array([0, 2, 4]))
    assert (variances[3] + variances[0]) == pytest.approx(actual[0])
    assert actual[0] == pytest.approx(actual[1])
