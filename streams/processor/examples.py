"""Examples, written by kernels: ``schemas.examples.Example`` as JSON, all but its weight."""

import numpy as np
from numba import carray, njit

from streams.processor.rules import PARTITION
from streams.processor.text import texts_of, write_bytes, write_whole, write_wholes
from streams.state.books import ARRAY_AT, COUNT, LEARNED, RULES, SIZE, TEXT, pointer
from streams.state.rows import NO_OFFSET

CTR, CVR = range(2)
NEGATIVE, POSITIVE, CREDITED_NEGATIVE, CREDITED_POSITIVE, RETRACTED = range(5)
"""What is learned at a place; what is credited or retracted takes back what was learned before."""

EXAMPLE = np.dtype(
    [
        ("start", "i8"),  # in the text
        ("id_end", "i8"),
        ("weight_at", "i8"),  # where the weight belongs
        ("end", "i8"),
        ("sampled", "i8"),  # of its kind only a sample is learned
        ("weight", "f8"),  # of what is not
    ]
)
BEFORE_ID = '{"example_id":"'
ID_AT = len(BEFORE_ID)
EXAMPLE_TEXT = 1024
"""Bytes of an example, at most."""

(
    _ID, _DASH, _NEGATIVE, _POSITIVE, _RETRACTED, _CREDITED, _TASK, _TS_MS, _LABEL, _WEIGHT, _OWN, _FOREIGN,
    _AGE_MS, _END, _TASKS,
) = range(15)  # fmt: skip
_TEXTS, _TEXT_AT = texts_of(
    [
        BEFORE_ID, "-", "-0", "-1", "-retracted", "-credited", '","task":"', '","ts_ms":',
        ',"label":', ',"weight":', ',"source":"own","buckets":', ',"source":"foreign","buckets":',
        ',"age_ms":', "}", "ctr", "cvr",
    ]
)  # fmt: skip


@njit(cache=True)
def learn(books, task, origin, offset, what, credits, ts_ms, request_offset, weight, age_ms, buckets):  # type: ignore[no-untyped-def]
    """There is something to learn: an example with these features.

    Its identity is ``<task>-<partition>-<offset>-<what was learned there>``; of a place whose label has been
    credited before, with the number of credits.
    """
    place = books[LEARNED, COUNT]
    row = carray(pointer(books[LEARNED, ARRAY_AT]), (books[LEARNED, SIZE],), EXAMPLE)[place]
    text = carray(pointer(books[TEXT, ARRAY_AT]), (books[TEXT, SIZE],), np.uint8)
    row.start, row.weight, row.sampled = books[TEXT, COUNT], weight, task == CTR and what == NEGATIVE
    at = _write(text, row.start, _ID)
    at = _write(text, at, _TASKS + task)
    at = _write(text, at, _DASH)
    at = write_whole(text, at, origin - 1 if origin else books[RULES, PARTITION])
    at = _write(text, at, _DASH)
    at = write_whole(text, at, offset)
    label = what in (POSITIVE, CREDITED_POSITIVE, RETRACTED)
    if what == RETRACTED:
        at = _write(text, at, _RETRACTED)
    else:
        at = _write(text, at, _POSITIVE if label else _NEGATIVE)
    if label and credits:  # it is another one than that which was taken back
        at = _write(text, at, _DASH)
        at = write_whole(text, at, credits)
    if what in (CREDITED_POSITIVE, CREDITED_NEGATIVE):
        at = _write(text, at, _CREDITED)
    row.id_end = at
    at = _write(text, at, _TASK)
    at = _write(text, at, _TASKS + task)
    at = _write(text, at, _TS_MS)
    at = write_whole(text, at, ts_ms)
    at = _write(text, at, _LABEL)
    at = write_whole(text, at, int(label))
    row.weight_at = at = _write(text, at, _WEIGHT)
    at = _write(text, at, _FOREIGN if request_offset == NO_OFFSET else _OWN)
    at = write_wholes(text, at, buckets)
    at = _write(text, at, _AGE_MS)
    at = write_whole(text, at, age_ms)
    row.end = books[TEXT, COUNT] = _write(text, at, _END)
    books[LEARNED, COUNT] += 1


@njit(cache=True)
def _write(text, at, which):  # type: ignore[no-untyped-def]
    return write_bytes(text, at, _TEXTS[_TEXT_AT[which] : _TEXT_AT[which + 1]])
