"""What is learned of clicks and exposures, and when; that it is what is reported."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor, purchase, refund

from models.delays import draw_age_ms
from models.ftrl import FTRLProximal
from models.hashing import stable_key
from models.task_learner import to_rows
from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.settings import Learning

LATENESS_MS, WINDOW_MS = 10_000, 60_000
END_MS = T0_MS + 10**7
SHOWN = {"ad_id": "ad1", "propensity": 0.5}


def taken(processor):
    """Outcomes and examples since the last call."""
    outcomes, examples, _ = processor.output.take_committed()
    return (
        [decode_outcome(value) for _, value in outcomes],
        [decode_example(value) for _, value in examples],
    )


def clicked(user_id="u1", ms=0):
    """An exposure of another system and its click, a second later."""
    name = f"x-{user_id}-{ms}"
    return [
        exposure(T0_MS + ms, user_id, event_id=name, **SHOWN),
        click(T0_MS + ms + 1000, user_id, exposure_id=name),
    ]


def drawn(user_id, clicked_ms):
    """Age and weight of a click's negative."""
    user = stable_key(user_id, seed=stable_key("main"))
    return draw_age_ms(stable_key(str(clicked_ms), seed=user), WINDOW_MS)


def test_a_click_is_a_negative_at_its_drawn_age():
    """Once, when orders of that age have been settled; the example says age and what it stands for."""
    processor = new_processor()
    processor.process(arrivals(clicked()))
    age_ms, stands_for = drawn("u1", T0_MS + 1000)
    due_ms = T0_MS + 1000 + age_ms + LATENESS_MS
    processor.advance(due_ms)
    assert [] == [e for e in taken(processor)[1] if e.task == "cvr"]
    processor.advance(due_ms + 1)
    (example,) = (e for e in taken(processor)[1] if e.task == "cvr")
    assert ("cvr-0-0-0", T0_MS + 1000, 0, stands_for, age_ms) == (
        example.example_id,
        example.ts_ms,
        example.label,
        example.weight,
        example.age_ms,
    )
    processor.advance(END_MS)
    assert [] == [e for e in taken(processor)[1] if e.task == "cvr"]


def test_a_click_that_is_joined_after_its_age_is_learned_at_once():
    """What comes late is not lost."""
    shown, clicking = clicked()
    age_ms, _ = drawn("u1", T0_MS + 1000)
    late = exposure(T0_MS + 1000 + age_ms + LATENESS_MS + 1, "other", event_id="x-other", **SHOWN)
    processor = new_processor()
    processor.process(arrivals([shown, late, clicking]))
    assert ["cvr-0-0-0"] == [e.example_id for e in taken(processor)[1] if e.task == "cvr"]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 100_000), st.integers(0, 1000))
def test_a_restart_neither_repeats_nor_loses_a_negative(stop_ms, ms):
    """Wherever the state is saved and taken up again, each click is a negative once."""
    processor, successor = new_processor(), new_processor()
    processor.process(arrivals(clicked(ms=ms)))
    processor.advance(T0_MS + 1001 + stop_ms)
    before = taken(processor)[1]
    successor.state.restore(processor.state.drain())
    successor.restored()
    successor.advance(END_MS)
    identities = [e.example_id for e in [*before, *taken(successor)[1]] if e.task == "cvr"]
    assert ["cvr-0-0-0"] == identities


def journeys(seed):
    """Clicks of a few users, and orders and refunds of theirs at random times."""
    random = np.random.default_rng(seed)
    events = []
    for number in range(30):
        user, ms = f"u{random.integers(4)}", int(random.integers(0, 60_000))
        events += clicked(user, ms)
        ordered_ms = T0_MS + ms + int(random.integers(-2000, 80_000))
        events.append(purchase(ordered_ms, user, order_id=f"o{number}"))
        if random.random() < 0.5:
            back_ms = ordered_ms + int(random.integers(1, 30_000))
            events.append(refund(back_ms, user, order_id=f"o{number}", amount_micros=5_000_000))
    return sorted(events, key=lambda event: event.ts_ms)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_trained_is_what_is_reported(seed):
    """The click that an order's revenue is reported under is the one whose features learn the conversion.

    With the delay that is reported; and a refund takes the label from the click whose revenue it takes.
    """
    processor = new_processor()
    processor.process(arrivals(journeys(seed)))
    processor.advance(END_MS)
    outcomes, examples = taken(processor)
    example_of = {example.example_id: example for example in examples}
    shown = {
        e.example_id.removeprefix("ctr-").removesuffix("-1"): e
        for e in examples
        if e.task == "ctr" and e.label
    }
    orders = {one.order_id: one for one in outcomes if one.kind == "purchase"}
    expected = []
    left = {}
    for outcome in outcomes:
        if outcome.kind not in ("purchase", "refund"):
            continue
        before = left.get(outcome.exposure_id, 0)
        left[outcome.exposure_id] = before + (1 if outcome.kind == "purchase" else -1)
        if 0 not in (before, left[outcome.exposure_id]):
            continue
        place = outcome.outcome_id.split("-", 2)[2]
        example = example_of[f"cvr-{place}-{'1' if outcome.kind == 'purchase' else 'retracted'}"]
        expected.append(example.example_id)
        assert shown[outcome.exposure_id.removeprefix("views-")].buckets == example.buckets
        assert orders[outcome.order_id].delay_ms == example.age_ms
        assert orders[outcome.order_id].ts_ms == example.ts_ms + example.age_ms
    assert len(expected) >= 10
    assert sorted(expected) == sorted(e.example_id for e in examples if e.task == "cvr" and e.label)


def sampled(share, users=2000):
    """Examples of exposures that nobody clicked but every tenth user, with a share of the negatives."""
    processor = new_processor(replace(SETTINGS, learning=Learning(bits=10, negative_sample=share)))
    events = []
    for number in range(users):
        shown, clicking = clicked(f"u{number}", number)
        events += [shown, clicking] if number % 10 == 0 else [shown]
    processor.process(arrivals(sorted(events, key=lambda event: event.ts_ms)))
    processor.advance(END_MS)
    return [e for e in taken(processor)[1] if e.task == "ctr"]


def test_a_sample_of_the_negatives_stands_for_all():
    """All positives with weight 1, a fifth of the negatives with 5, whatever the challenger's sample is."""
    everything = {e.example_id for e in sampled(1.0) if not e.label}
    examples = sampled(0.2)
    negatives = [e for e in examples if not e.label]
    assert 200 == sum(e.label for e in examples)
    assert {5.0} == {e.weight for e in negatives}
    assert {1.0} == {e.weight for e in examples if e.label}
    assert everything > {e.example_id for e in negatives}
    assert 5.0 * len(negatives) == pytest.approx(len(everything), rel=0.15)
    assert [e.example_id for e in negatives] == [e.example_id for e in sampled(0.2) if not e.label]
    challenged = [stable_key(e.example_id) < 2**62 for e in negatives]
    assert np.mean(challenged) == pytest.approx(0.5, abs=0.1)


def test_the_sample_is_corrected_once():
    """Whatever share of the negatives is learned, what is served is the click rate of all exposures."""
    for share in (1.0, 0.2):
        found = sampled(share) * 5
        examples = [found[i] for i in np.random.default_rng(1).permutation(len(found))]
        model = FTRLProximal(bits=10, alpha=0.5)
        buckets, offsets = to_rows([e.buckets[:1] for e in examples])  # the bias alone
        labels = np.array([bool(e.label) for e in examples])
        model.learn_many_hashed(buckets, offsets, labels, np.array([e.weight for e in examples]))
        p = model.predict_many_hashed(buckets[:1], np.array([0, 1]))[0]
        assert p == pytest.approx(0.1, rel=0.2)
