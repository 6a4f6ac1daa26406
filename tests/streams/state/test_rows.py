import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.state.rows import (
    KINDS,
    ChangelogError,
    decode_rows,
    encode_block,
    encode_key,
    encode_rows,
)

kinds = st.sampled_from(sorted(KINDS))


def columns(rows):
    """The bytes of each field; a copy of a row need not keep the padding between them."""
    return {name: rows[name].tobytes() for name in rows.dtype.names}


def rows_of(kind, seed, count):
    """Rows of random bytes, whatever they mean."""
    dtype = KINDS[kind].dtype
    return np.frombuffer(np.random.default_rng(seed).bytes(count * dtype.itemsize), dtype)


@given(kinds, st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_rows_come_back_as_they_were(kind, seed, count):
    """What was encoded one row a value decodes to the same fields."""
    rows = rows_of(kind, seed, count)
    assert columns(rows) == columns(decode_rows(kind, encode_rows(rows)))


@given(kinds, st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_blocks_come_back_as_they_were(kind, seed, sizes):
    """What was encoded many rows a value decodes to the same fields, block after block."""
    blocks = [rows_of(kind, seed + i, size) for i, size in enumerate(sizes)]
    values = [encode_block(block) for block in blocks]
    assert columns(np.concatenate(blocks)) == columns(decode_rows(kind, values))


@given(kinds, st.integers(0, 2**32 - 1), st.data())
def test_a_flipped_bit_is_noticed(kind, seed, data):
    """One wrong bit anywhere in a value, its padding and checksum included, is a damaged record."""
    values = encode_rows(rows_of(kind, seed, 3))
    row, bit = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 8 * len(values[0]) - 1))
    damaged = bytearray(values[row])
    damaged[bit // 8] ^= 1 << bit % 8
    values[row] = bytes(damaged)
    with pytest.raises(ChangelogError):
        decode_rows(kind, values)


@given(kinds, st.integers(0, 2**32 - 1), st.data())
def test_a_truncated_value_is_noticed(kind, seed, data):
    """A value that lost bytes at its end, all of them included, is a damaged record."""
    values = encode_rows(rows_of(kind, seed, 2))
    length = data.draw(st.integers(0, len(values[0]) - 1))
    with pytest.raises(ChangelogError, match=f"bytes, got {length}"):
        decode_rows(kind, [values[0], values[1][:length]])


@given(kinds, st.integers(0, 2**32 - 1), st.data())
def test_bytes_that_moved_between_values_are_noticed(kind, seed, data):
    """Values are checked one by one: two wrong lengths do not make a right sum."""
    whole = b"".join(encode_rows(rows_of(kind, seed, 2)))
    cut = data.draw(st.integers(0, len(whole)))
    assume(cut not in (0, len(whole) // 2, len(whole)))
    with pytest.raises(ChangelogError):
        decode_rows(kind, [whole[:cut], whole[cut:]])


@given(kinds, st.integers(0, 2**63 - 1))
def test_a_key_is_nine_bytes(kind, key):
    """A changelog key is the kind and the row's key, little-endian."""
    encoded = encode_key(kind, key)
    assert (9, kind, key) == (len(encoded), encoded[:1], int.from_bytes(encoded[1:], "little"))


def test_every_row_is_whole_words():
    """The checksum reads 8 bytes at a time: every row's size is a multiple of 8."""
    assert dict.fromkeys(KINDS, 0) == {kind: row.dtype.itemsize % 8 for kind, row in KINDS.items()}
