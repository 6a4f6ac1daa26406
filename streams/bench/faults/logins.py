"""Users who were anonymous before they logged in: 1% of the events, beside those of the standard mix."""

from random import Random

from msgspec.json import encode

from schemas.events import Click, Event, Line, Purchase
from schemas.topics import CLICKS, PURCHASES
from streams.bench.mix import Mix, Record
from streams.routing import partition_of

SHARE = 0.01
CLICKS_A_USER = 6
"""Before the login."""
EVENTS_A_USER = CLICKS_A_USER + 3
"""An order and two logins more."""
RECLAIM_AFTER_S = 10.0


def with_logins(mix: Mix, seed: int, partitions: int) -> Mix:
    """The mix with anonymous users, most of whom log in to another partition; it is not changed itself.

    They click on items, and the known ones order: what depends on when a profile arrives (a decision's
    features, a session) they have none of. All that is anonymous lies in the first half, and each logs in
    once in between and once at the end, so that the profile is whole then, whatever came late.
    """
    random = Random(seed)
    times_ms = [ts_ms for rows in mix.records.values() for _, _, ts_ms in rows]
    first_ms, last_ms = min(times_ms), max(times_ms)
    half_ms = (first_ms + last_ms) // 2
    records: dict[tuple[str, int], list[Record]] = {place: list(rows) for place, rows in mix.records.items()}
    for user in range(int(SHARE * len(times_ms)) // EVENTS_A_USER):
        for event in _of_user(random, user, first_ms, half_ms, last_ms):
            topic = PURCHASES.name if isinstance(event, Purchase) else CLICKS.name
            key = event.user_id.encode()
            place = topic, partition_of(key, partitions)
            records.setdefault(place, []).append((key, encode(event), event.ts_ms))
    for rows in records.values():
        rows.sort(key=lambda record: record[2])
    return Mix(mix.catalog, records)


def _of_user(random: Random, user: int, first_ms: int, half_ms: int, last_ms: int) -> list[Event]:
    anonymous, known = f"anonymous-{user}", f"known-{user}"

    def click(number: int, user_id: str, ts_ms: int, anonymous_id: str = "") -> Click:
        return Click(
            event_id=f"login-{user}-{number}",
            user_id=user_id,
            ts_ms=ts_ms,
            kind="item",
            category=f"category-{random.randrange(8)}",
            price_micros=random.randrange(1, 100) * 1_000_000,
            anonymous_id=anonymous_id,
        )

    between = [
        click(number, anonymous, random.randrange(first_ms, half_ms)) for number in range(CLICKS_A_USER)
    ]
    order = Purchase(
        event_id=f"login-{user}-order",
        user_id=known,
        ts_ms=random.randrange(first_ms, half_ms),
        order_id=f"login-{user}",
        amount_micros=7_000_000,
        lines=(Line("item-1", 1, 7_000_000),),
    )
    early = click(CLICKS_A_USER, known, random.randrange(first_ms, half_ms), anonymous)
    return [*between, order, early, click(CLICKS_A_USER + 1, known, last_ms, anonymous)]
