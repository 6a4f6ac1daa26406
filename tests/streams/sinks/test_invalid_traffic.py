"""Forged exposures and bots' clicks change no label and bill nothing: asked in SQL."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from random import Random
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, TOPICS, click, exposure, new_processor, purchase, view

from schemas.decisions import decode_decision
from schemas.events import Event
from streams import queries
from streams.processor.arrival import Arrival
from streams.settings import Processing, Validity
from streams.sinks import migrations
from streams.sinks.engine import EngineStore
from streams.sinks.writer import Writer

STRIDE = 1000
"""Between the offsets of two good events: room for what is put between them."""
MAX_CLICKS = 20
SHOP = replace(
    SETTINGS,
    processing=Processing(
        lateness_s=10, request_window_s=40, click_window_s=30, attribution_window_s=60, order_lateness_s=20
    ),
    validity=Validity(min_click_delay_ms=100, max_clicks=MAX_CLICKS, window_s=10),
)
USERS, BOTS = [f"u{n}" for n in range(8)], ["bot-1", "bot-2"]
NET_LABELS = """
SELECT arrayStringConcat(arraySlice(splitByChar('-', example_id), 1, 3), '-') AS of, label, sum(weight) AS net
FROM examples GROUP BY of, label HAVING net != 0 ORDER BY of, label
"""
BILLED = """
SELECT outcome_id, decision_id, ad_id, price_micros
FROM valid_outcomes INNER JOIN unique_decisions USING (decision_id)
WHERE valid_outcomes.kind = 'click' ORDER BY outcome_id
"""
ORDERS = """
SELECT outcome_id, decision_id, revenue_micros FROM valid_outcomes WHERE kind = 'purchase' ORDER BY outcome_id
"""
Row = tuple[int, int, Event]
"""Offset, broker's time, event."""


def decided(views: list[Row]) -> dict[str, str]:
    """The ad of each decision on these page views."""
    processor = new_processor(SHOP)
    processor.process(Arrival(0, 0, offset, ts_ms, b"", event) for offset, ts_ms, event in views)
    decisions = [decode_decision(value) for _, value in processor.output.take_decisions()]
    return {each.decision_id: each.chosen_id for each in decisions}


def good_day(seed: int) -> list[Row]:
    """People who view, see the ads that were decided on, click and buy; bots who are shown ads, too."""
    random = Random(seed)
    people = [(random.choice(USERS), T0_MS + 1500 * n) for n in range(60)]
    bots = [(bot, T0_MS + 20_000 + 40 * n) for bot in BOTS for n in range(MAX_CLICKS + 5)]
    views = [
        (number * STRIDE, ts_ms, view(ts_ms, user, slots="a", event_id=f"v{number}"))
        for number, (user, ts_ms) in enumerate(sorted([*people, *bots], key=lambda one: one[1]))
    ]
    ads, told, end = decided(views), list(views), len(views)
    for number, (offset, ts_ms, asked) in enumerate(views):
        echo = {"decision_id": f"views-0-{offset}-0", "ad_id": ads[f"views-0-{offset}-0"]}
        shown_ms = ts_ms + 300
        shown = exposure(shown_ms, asked.user_id, event_id=f"x{number}", **echo)
        told.append(((end + number) * STRIDE, shown_ms, shown))
        if asked.user_id in USERS and random.random() < 0.5:
            clicked_ms = shown_ms + random.randint(500, 9000)
            told.append(
                (number * STRIDE, clicked_ms, click(clicked_ms, asked.user_id, event_id=f"c{number}", **echo))
            )
            if random.random() < 0.5:
                order = purchase(
                    clicked_ms + 5000, asked.user_id, event_id=f"p{number}", order_id=f"o{number}"
                )
                told.append((number * STRIDE, order.ts_ms, order))
    return sorted(told, key=lambda row: row[1])


def disturbed(good: list[Row], seed: int) -> Iterator[Row]:
    """The same day with forgeries in people's and bots' names, each in the broker's order."""
    random, shown = Random(seed), []
    for offset, ts_ms, event in good:
        yield offset, ts_ms, event
        name = f"forged-{offset}-{TOPICS[type(event)]}"
        if TOPICS[type(event)] == 0 and random.random() < 0.3:
            never = {"decision_id": f"views-0-{offset + 7}-0", "ad_id": "ad1"}
            yield offset + 1, ts_ms, exposure(ts_ms, event.user_id, event_id=f"{name}-never", **never)
            yield offset + 2, ts_ms, click(ts_ms, event.user_id, event_id=f"{name}-on-it", **never)
        if getattr(event, "decision_id", ""):
            echo = {"decision_id": event.decision_id, "ad_id": event.ad_id}
            if event.event_id.startswith("x"):
                shown.append((event.user_id, echo, ts_ms))
                thief = random.choice([user for user in USERS if user != event.user_id])
                yield offset + 3, ts_ms, exposure(ts_ms, thief, event_id=f"{name}-thief", **echo)
                yield offset + 4, ts_ms, exposure(ts_ms, event.user_id, event_id=f"{name}-again", **echo)
                soon_ms = ts_ms + random.choice([0, 20, 99])
                yield offset + 5, ts_ms, click(soon_ms, event.user_id, event_id=f"{name}-soon", **echo)
                early_ms = ts_ms - random.choice([1001, 4000])
                yield offset + 6, ts_ms, click(early_ms, event.user_id, event_id=f"{name}-early", **echo)
                if event.user_id in BOTS:
                    at_ms = ts_ms + 1000
                    yield offset + 7, ts_ms, click(at_ms, event.user_id, event_id=f"{name}-bot", **echo)
            else:
                yield offset + 8, ts_ms, click(ts_ms + 1, event.user_id, event_id=f"{name}-twice", **echo)


def stored(engine: str, database: str, rows: Iterator[Row] | list[Row]) -> tuple[EngineStore, dict[str, int]]:
    """A store with all that comes of a day, its examples, too; and the processor's counters."""
    processor = new_processor(SHOP)
    processor.process(
        Arrival(TOPICS[type(event)], 0, offset, ts_ms, b"", event) for offset, ts_ms, event in rows
    )
    processor.advance(T0_MS + 10**6)
    store = EngineStore(engine, database)
    migrations.apply(store, database)
    writer = Writer(store, lambda _: True)
    outcomes, examples, _ = processor.output.take_committed()
    for topic, messages in (("decisions", processor.output.take_decisions()), ("outcomes", outcomes)):
        writer.write(topic, 0, list(enumerate(value for _, value in messages)))
    store.execute("CREATE TABLE examples (example_id String, label UInt8, weight Float64) ENGINE = Memory")
    learned = [orjson.loads(value) for _, value in examples]
    columns = {name: [each[name] for each in learned] for name in ("example_id", "label", "weight")}
    store.insert("examples", columns, "examples")
    return store, processor.state.counters


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forgeries_and_bots_change_no_label_and_bill_nothing(engine: str, database: str, seed: int) -> None:
    """Labels, bill, orders and every rate that analysts see are those of the day without them."""
    good = good_day(seed)
    alone, _ = stored(engine, database, good)
    mixed, counters = stored(engine, f"{database}_mixed", disturbed(good, seed))
    with closing(alone), closing(mixed):
        for sql in (NET_LABELS, BILLED, ORDERS):
            expected = alone.query(sql).rows
            assert expected
            assert expected == mixed.query(sql).rows
        named = queries.load()
        for name in ("ctr_by_ad", "ctr_by_position", "decisions_by_policy", "funnel", "off_policy_ips"):
            assert alone.query(named[name].sql).rows == mixed.query(named[name].sql).rows
        bills = [billing(store) for store in (alone, mixed)]
        assert bills[0]["billed_clicks"] > 0
        assert [bills[0][name] for name in ("billed_clicks", "spend")] == [
            bills[1][name] for name in ("billed_clicks", "spend")
        ]
        assert (0, True) == (bills[0]["unbilled_clicks"], bills[1]["credited_spend"] > 0)
        told: Counter[str] = Counter()
        for _, _, reason, events, *_ in mixed.query(named["invalid_traffic"].sql).rows:
            told[reason] += events
    reasons = ("impossible_timing", "rate", "no_exposure", "no_decision", "repeated")
    assert all(told[reason] for reason in reasons)
    assert {reason: counters[f"invalid_{reason}"] for reason in reasons} == told


def billing(store: EngineStore) -> dict[str, Any]:
    """The one row of the query."""
    result = store.query(queries.load()["billing"].sql)
    (row,) = result.rows
    return dict(zip(result.columns, row, strict=True))
