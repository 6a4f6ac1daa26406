import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import FEATURES
from schemas.examples import Example, decode_example
from streams.processor.examples import (
    CREDITED_NEGATIVE,
    CREDITED_POSITIVE,
    CTR,
    CVR,
    EXAMPLE_TEXT,
    ID_AT,
    NEGATIVE,
    POSITIVE,
    RETRACTED,
    learn,
)
from streams.processor.output import encode
from streams.processor.records import Records
from streams.processor.rules import PARTITION
from streams.state.books import RULES, new_books
from streams.state.rows import NO_OFFSET

LARGEST = 2**63 - 1
ENDS = {
    NEGATIVE: "0", POSITIVE: "1", CREDITED_NEGATIVE: "0-credited", CREDITED_POSITIVE: "1-credited",
    RETRACTED: "retracted",
}  # fmt: skip
"""Of the identity, by what is learned."""

features = st.lists(st.integers(0, 2**32 - 1), min_size=len(FEATURES), max_size=len(FEATURES))
offsets = st.integers(0, LARGEST)
told = st.tuples(
    st.sampled_from([CTR, CVR]), st.integers(0, 99), offsets, st.sampled_from(list(ENDS)), offsets,
    st.sampled_from([NO_OFFSET, 0, 7]), st.floats(-1e6, 1e6), offsets, features,
)  # fmt: skip


def held_by(partition):
    """Room for what a kernel of a partition tells."""
    held = Records(new_books())
    held.books[RULES, PARTITION] = partition
    return held


def learned(held):
    """The examples, with their weights, and the identities that are cut out of the text."""
    text, found = held.text(), []
    for start, id_end, weight_at, end, _, weight in held.examples():
        example = decode_example(text[start:weight_at] + repr(weight).encode() + text[weight_at:end])
        assert example.example_id == text[start + ID_AT : id_end].decode()
        assert end - start <= EXAMPLE_TEXT
        found.append(example)
    return found


@given(st.lists(told, max_size=5), st.integers(0, 99))
def test_examples_come_back_as_they_were_told(all_told, partition):
    """Each with its identity, its label and its own features, however many there are before it."""
    held, expected = held_by(partition), []
    for task, origin, offset, what, ts_ms, request_offset, weight, age_ms, buckets in all_told:
        learn(
            held.books, task, origin, offset, what, 0, ts_ms, request_offset, weight, age_ms,
            np.array(buckets, np.uint32),
        )  # fmt: skip
        name = ("ctr", "cvr")[task]
        expected.append(
            Example(
                f"{name}-{origin - 1 if origin else partition}-{offset}-{ENDS[what]}", name, ts_ms,
                0 if what in (NEGATIVE, CREDITED_NEGATIVE) else 1, weight,
                "foreign" if request_offset == NO_OFFSET else "own", buckets, age_ms,
            )
        )  # fmt: skip
    assert expected == learned(held)


def test_an_example_is_written_as_others_are():
    """Byte for byte as the encoder of all records would."""
    held, buckets = held_by(3), np.arange(len(FEATURES), dtype=np.uint32)
    learn(held.books, CVR, 0, 7, POSITIVE, 0, 1000, 5, 2.5, 60, buckets)
    ((start, _, weight_at, end, _, weight),) = held.examples()
    text = held.text()
    assert encode(learned(held)[0]) == text[start:weight_at] + repr(weight).encode() + text[weight_at:end]


@pytest.mark.parametrize(
    ("what", "end"), [(POSITIVE, "1-2"), (CREDITED_POSITIVE, "1-2-credited"), (NEGATIVE, "0")]
)
def test_a_click_that_counts_after_a_credit_is_another_one(what, end):
    """Its identity has the number of credits before it."""
    held = held_by(0)
    learn(held.books, CTR, 0, 7, what, 2, 0, 0, 1.0, 0, np.zeros(1, np.uint32))
    assert [f"ctr-0-7-{end}"] == [example.example_id for example in learned(held)]


def test_of_exposures_without_a_click_only_a_sample_is_learned():
    """No other kind of example is drawn from."""
    held = held_by(0)
    kinds = [(task, what) for task in (CTR, CVR) for what in ENDS]
    for task, what in kinds:
        learn(held.books, task, 0, 0, what, 0, 0, 0, 1.0, 0, np.zeros(1, np.uint32))
    assert [(CTR, NEGATIVE)] == [
        kind for kind, (*_, sampled, _) in zip(kinds, held.examples(), strict=True) if sampled
    ]


def test_the_longest_example_fits():
    """So much is kept free for each example of an event."""
    held, largest = held_by(LARGEST), np.full(len(FEATURES), 2**32 - 1, np.uint32)
    learn(held.books, CTR, 0, LARGEST, CREDITED_POSITIVE, LARGEST, LARGEST, NO_OFFSET, 1.0, LARGEST, largest)
    assert len(held.text()) <= EXAMPLE_TEXT
