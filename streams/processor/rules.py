"""The windows and rules of a partition, as kernels see them: a line of the books."""

from numba import njit

from streams.settings import Settings
from streams.state.books import COUNTS, RULES, Books
from streams.state.rows import COUNTERS

(
    LATENESS_MS, FINAL_MS, REQUEST_WINDOW_MS, CLICK_WINDOW_MS, ATTRIBUTION_WINDOW_MS,
    ORDER_LATENESS_MS, REFUND_WINDOW_MS, PANE_MS, MAX_CLICKS, MIN_DELAY_MS, CLOCK_TOLERANCE_MS,
    NEEDS_PAGE_VIEW, JUDGES, REMEMBERS, RECLAIM_AFTER_MS,
    PARTITION,
) = range(2, 18)  # fmt: skip
"""Columns behind ``EXPIRED_MS``. ``FINAL_MS``: how long after a click's time all
is here that its verdict depends on; ``JUDGES``: whether clicks are judged at all, ``REMEMBERS``: whether
orders are kept for refunds."""

JUDGING_VERSION, REMEMBERING_VERSION = 3, 2
"""Of the changelog: the first with room for the counts of clicks, and for what only refunds need."""

UNMATCHED_EXPOSURES, UNMATCHED_CLICKS, UNMATCHED_REFUNDS, PURCHASES_SEEN, DUPLICATES, FIRST_INVALID = map(
    COUNTERS.index,
    ("unmatched_exposures", "unmatched_clicks", "unmatched_refunds", "purchases", "duplicates",
     "invalid_impossible_timing"),
)  # fmt: skip


def set_rules(books: Books, settings: Settings, partition: int, write_version: int) -> None:
    """Write the line of a partition whose changelog is of that version."""
    windows, validity = settings.processing, settings.validity
    judges = write_version >= JUDGING_VERSION
    lateness_ms = int(windows.lateness_s * 1000)
    pane_ms = max(1, int(validity.window_s * 500))
    max_clicks = validity.max_clicks if judges else 0
    final_ms = lateness_ms + (2 * pane_ms if max_clicks else 0)
    books[RULES, LATENESS_MS : PARTITION + 1] = (
        lateness_ms, final_ms, int(windows.request_window_s * 1000), int(windows.click_window_s * 1000),
        int(windows.attribution_window_s * 1000), max(int(windows.order_lateness_s * 1000), final_ms),
        int(windows.refund_window_s * 1000), pane_ms, max_clicks, validity.min_click_delay_ms,
        validity.clock_tolerance_ms, validity.require_page_view and judges, judges,
        write_version >= REMEMBERING_VERSION, int(settings.identity.reclaim_after_s * 1000),
        partition,
    )  # fmt: skip


@njit(cache=True)
def count(books, counter):  # type: ignore[no-untyped-def]
    """One more of a counter, by its place in ``COUNTERS``."""
    books[COUNTS, counter] += 1


@njit(cache=True)
def count_invalid(books, code):  # type: ignore[no-untyped-def]
    """An event is invalid: a code of ``streams.processor.records``, not ``VALID``."""
    if books[RULES, JUDGES]:
        books[COUNTS, FIRST_INVALID + code - 1] += 1
