from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder, encode

from models.placement import MILLION, SHARES
from schemas.decisions import Candidates
from streams.processor.rankings import (
    CANDIDATE_TEXT,
    MAX_RANKINGS,
    NO_AD,
    SHARES_TEXT,
    Rankings,
    fits,
    write_ranking,
)

BILLION = 10**9
decode_candidates = Decoder(Candidates).decode
decode_contributions = Decoder(dict[str, Decimal]).decode

ids = st.text(max_size=64) | st.text('"\\/\x00\x1f\u2028é😀', max_size=64)
candidates = st.tuples(
    ids,
    st.integers(0, BILLION),
    st.integers(0, 2**62) | st.integers(0, 1000),
    st.integers(0, MILLION),
)
contributions = st.lists(
    st.integers(-20 * MILLION, 20 * MILLION) | st.integers(-9, 9) | st.sampled_from([0, MILLION, -500_000]),
    min_size=len(SHARES),
    max_size=len(SHARES),
)


def rank(rankings, found, shares, chosen):
    """Write a ranking of candidates as a run does; returns whether there was room."""
    names = np.frombuffer(encode([name for name, *_ in found]), np.uint8)
    done, placed = rankings.done, rankings.placed
    if not fits(done, placed, rankings.reasons, rankings.text, 1, len(found), len(names)):
        return False
    first = int(done[1])
    columns = rankings.p_click, rankings.ecpm_micros, rankings.propensity
    _, *numbers = zip(*found, strict=True)
    for column, unit, whole in zip(columns, (BILLION, 1, MILLION), numbers, strict=True):
        column[first : first + len(found)] = np.array(whole) / unit if unit > 1 else whole
    p_click, ecpm_micros, propensity = (column[first : first + len(found)] for column in columns)
    write_ranking(
        done, placed, rankings.drawn, rankings.text, names, chosen, len(found), p_click, ecpm_micros,
        propensity, np.array(shares) / MILLION,
    )  # fmt: skip
    return True


@given(st.data(), st.lists(st.lists(candidates, min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_ranking_says_in_text_what_it_was_given_in_numbers(data, rankings_of):
    """Names whatever their signs, probabilities in billionths, shares of the draw in millionths."""
    rankings, expected = Rankings(), []
    for found in rankings_of:
        shares = data.draw(contributions)
        chosen = data.draw(st.integers(0, len(found) - 1))
        assert rank(rankings, found, shares, chosen)
        expected.append((found, shares, chosen))
    for ranking, (found, shares, chosen) in zip(rankings.all(), expected, strict=True):
        names, p_click, score_micros, propensity = zip(*found, strict=True)
        assert (chosen, len(found)) == (ranking.chosen, ranking.competing)
        written = decode_candidates(ranking.candidates)
        assert list(names) == written.ids
        assert [number / BILLION for number in p_click] == written.p_click
        assert list(score_micros) == written.score_micros
        assert [number / MILLION for number in propensity] == written.propensity
        assert (written.p_click[chosen], written.propensity[chosen]) == (ranking.p_click, ranking.propensity)
        decimals = decode_contributions(ranking.contributions)
        assert dict(zip(SHARES, [Decimal(share) / MILLION for share in shares], strict=True)) == decimals
        assert sum(decimals.values()) == Decimal(repr(ranking.logit))


@given(st.lists(candidates, max_size=6))
def test_where_none_is_chosen_the_candidates_are_written_all_the_same(found):
    """There are no contributions; the next ranking begins behind them."""
    rankings = Rankings()
    if found:
        rank(rankings, found, [0] * len(SHARES), NO_AD)
    assert rank(rankings, [("behind", 1, 2, 3)], [4] * len(SHARES), 0)
    *before, last = rankings.all()
    assert bool(found) == len(before)
    for ranking in before:
        assert (NO_AD, b"") == (ranking.chosen, bytes(ranking.contributions))
        assert [name for name, *_ in found] == decode_candidates(ranking.candidates).ids
    assert Candidates(["behind"], [1 / BILLION], [2], [3 / MILLION]) == decode_candidates(last.candidates)


def test_the_longest_numbers_fit():
    """What is kept free for a candidate and for all contributions is more than they take."""
    rankings = Rankings()
    found = [("", 123_456_789, 2**62, 123_456)] * 50
    assert rank(rankings, found, [-987_654_321_123_456] * len(SHARES), 0)
    (ranking,) = rankings.all()
    written = len(bytes(ranking.candidates)) + len(bytes(ranking.contributions))
    assert written <= len(encode([""] * 50)) + 50 * CANDIDATE_TEXT + SHARES_TEXT


def test_there_is_no_room_for_more_than_fits(monkeypatch):
    """Of rankings, of candidates and of text."""
    found = [("ad", 1, 2, 3)] * 10
    for name, room, expected in (
        ("MAX_RANKINGS", 3, 3),
        ("MAX_SCORES", 49, 4),
        ("MAX_TEXT", SHARES_TEXT + 11 * CANDIDATE_TEXT, 1),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"streams.processor.rankings.{name}", room)
            rankings = Rankings()
        assert expected == sum(rank(rankings, found, [1] * len(SHARES), 0) for _ in range(5)), name
        assert expected == len(list(rankings.all()))
        rankings.clear()
        assert rank(rankings, found, [1] * len(SHARES), 0)
        assert 1 == len(list(rankings.all())) < MAX_RANKINGS
