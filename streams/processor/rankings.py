"""Rankings of the slots that ask for an ad: numbers for what is chosen, and text that needs no encoding."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Raw, Struct
from numba import njit

from models.placement import MILLION, SHARES
from streams.processor.text import texts_of, write_bytes, write_decimal, write_whole

CHOSEN, COMPETING, CANDIDATES_AT, SHARES_AT, END_AT, FIRST, LAST = range(7)
"""Columns of ``Rankings.placed``:
index of the candidate that was drawn, how many competed, where the texts begin and end, and which rows are
the candidates'."""
P_CLICK, PROPENSITY, LOGIT = range(3)
"""Columns of ``Rankings.drawn``."""
RANKED, SCORED, WRITTEN, ASKED = range(4)
"""Of ``Rankings.done``: rankings, candidates and bytes of text so far, and slots of all kinds."""

MAX_RANKINGS = 4096
MAX_SCORES = 65_536
"""Candidates of all rankings together: of one page view at least."""
MAX_TEXT = 1 << 25
CANDIDATE_TEXT, SHARES_TEXT = 64, 4096
"""Bytes of a candidate's numbers, and of all shares of a logit, at most."""
NO_AD = -1


_COLUMNS, _COLUMN_AT = texts_of(['{"ids":', ',"p_click":[', '],"score_micros":[', '],"propensity":[', "]}"])
_SHARES, _SHARE_AT = texts_of([f'"{share}":' for share in SHARES])
_COMMA, _OPEN, _CLOSE = ord(","), ord("{"), ord("}")


class Ranking(Struct, frozen=True, gc=False):
    """What came of one slot that asked for an ad."""

    chosen: int
    """Index of the candidate; ``NO_AD`` where none competes."""
    competing: int
    candidates: Any
    """``schemas.decisions.Candidates``, encoded."""
    contributions: Any
    """What each of ``models.placement.SHARES`` adds to the logit of the chosen one, encoded."""
    p_click: float
    propensity: float
    logit: float
    """Sum of the contributions, which are whole millionths: exactly that, too."""
    all_reasons: npt.NDArray[np.int64]
    first: int
    last: int

    def reasons(self) -> list[int]:
        """Why each candidate did not compete."""
        reasons: list[int] = self.all_reasons[self.first : self.last].tolist()
        return reasons


class Rankings:
    """Room for the rankings of a run of events."""

    def __init__(self) -> None:
        self.done = np.zeros(4, np.int64)
        self.placed = np.zeros((MAX_RANKINGS, LAST + 1), np.int64)
        self.drawn = np.zeros((MAX_RANKINGS, LOGIT + 1))
        self.p_click, self.propensity = np.zeros(MAX_SCORES), np.zeros(MAX_SCORES)
        self.ecpm_micros, self.reasons = np.zeros(MAX_SCORES, np.int64), np.zeros(MAX_SCORES, np.int64)
        self.text = np.zeros(MAX_TEXT, np.uint8)

    @property
    def asked(self) -> int:
        """Slots that have asked, for an ad or for a promotion."""
        return int(self.done[ASKED])

    def all(self) -> Iterator[Ranking]:
        """All that were made, in order."""
        count = int(self.done[RANKED])
        text = self.text[: self.done[WRITTEN]].tobytes()
        for placed, drawn in zip(self.placed[:count].tolist(), self.drawn[:count].tolist(), strict=True):
            chosen, competing, start, shares_at, end, first, last = placed
            p_click, propensity, logit = drawn
            yield Ranking(
                chosen, competing, Raw(text[start:shares_at]), Raw(text[shares_at:end]), p_click, propensity,
                logit, self.reasons, first, last,
            )  # fmt: skip

    def clear(self) -> None:
        """Begin anew."""
        self.done[:] = 0


@njit(cache=True)
def fits(done, placed, reasons, text, slots, candidates, id_bytes):  # type: ignore[no-untyped-def]
    """Whether there is room for the rankings of so many slots with so many candidates and bytes of names."""
    bytes_ = id_bytes + CANDIDATE_TEXT * candidates + SHARES_TEXT * slots
    return (
        done[RANKED] + slots <= len(placed)
        and done[SCORED] + candidates <= len(reasons)
        and done[WRITTEN] + bytes_ <= len(text)
    )


@njit(cache=True)
def write_ranking(  # type: ignore[no-untyped-def]
    done, placed, drawn, text, ids, chosen, competing, p_click, ecpm_micros, propensity, shares
):
    """Keep the newest ranking, that of the ``SCORED`` candidates on; its arrays have an entry a candidate."""
    to, draw = placed[done[RANKED]], drawn[done[RANKED]]
    to[CHOSEN], to[COMPETING] = chosen, competing
    to[FIRST], to[LAST] = done[SCORED], done[SCORED] + len(p_click)
    to[CANDIDATES_AT] = done[WRITTEN]
    to[SHARES_AT] = to[END_AT] = _write_candidates(text, done[WRITTEN], ids, p_click, ecpm_micros, propensity)
    if chosen != NO_AD:
        to[END_AT], draw[LOGIT] = _write_shares(text, to[SHARES_AT], shares)
        draw[P_CLICK], draw[PROPENSITY] = p_click[chosen], propensity[chosen]
    done[RANKED] += 1
    done[SCORED] = to[LAST]
    done[WRITTEN] = to[END_AT]


@njit(cache=True)
def _write_candidates(text, at, ids, p_click, ecpm_micros, propensity):  # type: ignore[no-untyped-def]
    """Write ``schemas.decisions.Candidates``; returns where it ends."""
    at = write_bytes(text, at, _COLUMNS[: _COLUMN_AT[1]])
    at = write_bytes(text, at, ids)
    at = write_bytes(text, at, _COLUMNS[_COLUMN_AT[1] : _COLUMN_AT[2]])
    for c in range(len(p_click)):
        at = _write_comma(text, at, c)
        at = write_decimal(text, at, np.int64(np.round(1e9 * p_click[c])), 1_000_000_000)
    at = write_bytes(text, at, _COLUMNS[_COLUMN_AT[2] : _COLUMN_AT[3]])
    for c in range(len(ecpm_micros)):
        at = _write_comma(text, at, c)
        at = write_whole(text, at, ecpm_micros[c])
    at = write_bytes(text, at, _COLUMNS[_COLUMN_AT[3] : _COLUMN_AT[4]])
    for c in range(len(propensity)):
        at = _write_comma(text, at, c)
        at = write_decimal(text, at, np.int64(np.round(MILLION * propensity[c])), MILLION)
    return write_bytes(text, at, _COLUMNS[_COLUMN_AT[4] :])


@njit(cache=True)
def _write_shares(text, at, shares):  # type: ignore[no-untyped-def]
    """Write what each of ``SHARES`` adds to a logit; returns where it ends, and the logit."""
    total = np.int64(0)
    for s in range(len(shares)):
        text[at] = _COMMA if s else _OPEN
        at = write_bytes(text, at + 1, _SHARES[_SHARE_AT[s] : _SHARE_AT[s + 1]])
        millionths = np.int64(np.round(MILLION * shares[s]))
        total += millionths
        at = write_decimal(text, at, millionths, MILLION)
    text[at] = _CLOSE
    return at + 1, total / MILLION


@njit(cache=True)
def _write_comma(text, at, place):  # type: ignore[no-untyped-def]
    """Between two numbers of a list."""
    if place:
        text[at] = _COMMA
        return at + 1
    return at
