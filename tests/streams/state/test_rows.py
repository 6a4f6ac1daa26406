"""Rows of the changelog."""

import numpy as np
import pytest

from streams.state.rows import KINDS, ChangelogError, decode_rows, encode_rows


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_rows_come_back_whatever_their_padding_holds(kind: bytes) -> None:
    """Aligned rows have padding that numpy fills with anything: it must not count as damage."""
    dtype = KINDS[kind]
    rows = np.frombuffer(b"\x41" * 3 * dtype.itemsize, dtype)
    decoded = decode_rows(kind, encode_rows(rows))
    for name in dtype.names or ():
        np.testing.assert_array_equal(decoded[name], rows[name])


def test_damage_is_refused() -> None:
    """One flipped bit anywhere in the row is an error."""
    value = bytearray(encode_rows(np.zeros(1, KINDS[b"E"]))[0])
    value[100] ^= 1
    with pytest.raises(ChangelogError, match="checksum"):
        decode_rows(b"E", [bytes(value)])
