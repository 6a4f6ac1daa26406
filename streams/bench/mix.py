"""The standard mix: the stream of events that every throughput figure of Headrace uses.

50% page views (half ask for one placement, one in twenty for a promotion), 35% exposures, 12% clicks, 3%
purchases of 1 to 5 lines, by 100,000 users whose activity follows Zipf's law. An exposure follows a request
of the same user, a click follows an exposure and a purchase follows a click, wherever one is due; the other
exposures (a third) are another system's, the other clicks (two thirds) are on items.
"""

from bisect import bisect
from collections import defaultdict
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, TypeVar

from aiokafka.partitioner import murmur2
from msgspec import Struct
from msgspec.json import Encoder

from schemas.catalog import Ad, Entry, Item, Promotion
from schemas.events import Click, Event, Exposure, Line, Page, Purchase, Slot, View
from schemas.topics import CLICKS, PURCHASES, VIEWS, Topic
from streams.bench import shop

VIEW_SHARE, EXPOSURE_SHARE, CLICK_SHARE = 0.50, 0.35, 0.12  # purchases are the rest
PLACEMENT_SHARE, PROMOTION_SHARE = 1 / 2, 1 / 20
USERS = 100_000
MAX_LINES = 5
START_MS = 1_748_851_200_000  # 2025-06-02T08:00:00Z, in the past of every clock
EVENTS_PER_S = 100
"""Of event time."""

SHOWN_SHARE = 0.85  # requests are 27.5% of the events, exposures 35%: leaves a third of these to foreign ones
SHOWN_AFTER_S, CLICKED_AFTER_S, BOUGHT_AFTER_S = 8.0, 12.0, 120.0  # means of exponential delays
CLICK_THROUGH = (0.04, 0.18)  # lowest and highest of an ad, so that a third of the clicks are on ads
BOUGHT_SHARE = 0.2  # of clicks: slightly fewer than there are purchases, so that all come to pass
TO_CART_SHARE = 0.3  # of clicks on items
SESSION_MS = 1_800_000

Record = tuple[bytes, bytes, int]
"""Key, value, timestamp in milliseconds."""

T = TypeVar("T")
_encode = Encoder().encode


class Mix(Struct, frozen=True):
    """A generated stream."""

    catalog: list[Entry]
    records: dict[tuple[str, int], list[Record]]
    """By topic and partition, in time order; the place in the list is the offset."""


def generate(events: int, seed: int, partitions: int = 8) -> Mix:
    """Generate the first ``events`` events of the stream of ``seed``, laid on ``partitions`` by user.

    The same arguments give the same bytes, and a longer stream begins with the shorter one.

    >>> mix = generate(1000, seed=1)
    >>> sum(map(len, mix.records.values()))
    1000
    """
    generator = _Generator(seed, partitions)
    for number in range(events):
        generator.step(number)
    return Mix(generator.catalog, dict(generator.records))


class _User(NamedTuple):
    user_id: str
    key: bytes
    partition: int
    device: str
    country: str
    segments: tuple[str, ...]


class _Request(NamedTuple):
    """A slot that is going to be filled; without ``decision_id`` another system does it."""

    user: _User
    page: Page
    category: str
    slot: Slot
    decision_id: str = ""


class _Agenda(Generic[T]):
    """What is going to happen, by the time it is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._added = 0

    def add(self, due_ms: float, what: T) -> None:
        self._added += 1  # breaks ties, so that what is due is never compared
        heappush(self._heap, (due_ms, self._added, what))

    def take(self, now_ms: int) -> T | None:
        """The first of what is due by now, if any."""
        return heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now_ms else None


class _Generator:
    def __init__(self, seed: int, partitions: int) -> None:
        self.random = Random(seed)
        self.partitions = partitions
        self.catalog = shop.draw_catalog(self.random)
        self.records: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self.ads = [entry for entry in self.catalog if isinstance(entry, Ad)]
        self.promotions = [entry for entry in self.catalog if isinstance(entry, Promotion)]
        self.items = [entry for entry in self.catalog if isinstance(entry, Item)]
        self.targeting = shop.Targeting(self.ads)
        low, high = CLICK_THROUGH
        self.click_through = {ad.ad_id: self.random.uniform(low, high) for ad in self.ads}
        self.click_through |= {each.promotion_id: self.random.uniform(low, high) for each in self.promotions}
        self.users: dict[int, _User] = {}
        self.activity = list(accumulate(1 / rank for rank in range(1, USERS + 1)))
        self.requests = _Agenda[_Request]()
        self.clicks = _Agenda[tuple[_User, Exposure]]()
        self.purchases = _Agenda[tuple[_User, Item]]()

    def step(self, number: int) -> None:
        """Append the event with this number to its topic."""
        self.number = number
        self.now_ms = START_MS + number * 1000 // EVENTS_PER_S
        kind = self.random.random()
        if kind < VIEW_SHARE:
            self.view()
        elif kind < VIEW_SHARE + EXPOSURE_SHARE:
            self.expose()
        elif kind < VIEW_SHARE + EXPOSURE_SHARE + CLICK_SHARE:
            self.click()
        else:
            self.purchase()

    def view(self) -> None:
        """A page view, which may ask for decisions, most of which are going to be shown."""
        random, user = self.random, self.draw_user()
        page, item = self.draw_page(), self.draw_item()
        slots = []
        if random.random() < PLACEMENT_SHARE:
            slots.append(Slot(shop.ad_slot(page), "ad", random.randint(1, 4)))
        if random.random() < PROMOTION_SHARE:
            slots.append(Slot(f"{page}-offer", "promotion", 1))
        event = View(
            event_id=f"v-{self.number:010d}",
            user_id=user.user_id,
            ts_ms=self.now_ms,
            page=page,
            session_id=self.session_id(user),
            item_id=item.item_id if page == "item" else "",
            category=item.category,
            price_micros=item.price_micros if page == "item" else 0,
            device=user.device,
            country=user.country,
            segments=user.segments,
            slots=tuple(slots),
        )
        offset = self.append(VIEWS, user, event)
        for index, slot in enumerate(slots):
            if random.random() < SHOWN_SHARE:
                decision_id = f"views-{user.partition}-{offset}-{index}"
                request = _Request(user, page, item.category, slot, decision_id)
                self.requests.add(self.draw_due_ms(SHOWN_AFTER_S), request)

    def expose(self) -> None:
        """Something is shown: in a slot that had asked for it, or by another system."""
        random, request = self.random, self.requests.take(self.now_ms)
        if request is None:
            page = self.draw_page()
            slot = Slot(shop.ad_slot(page), "ad", random.randint(1, 4))
            request = _Request(self.draw_user(), page, self.draw_item().category, slot)
        user, page, category, slot, decision_id = request
        ad_id = promotion_id = ""
        propensity = None
        if slot.kind == "promotion":
            promotion_id = random.choice(self.promotions).promotion_id
        else:
            ads = self.targeting.eligible(slot.slot_id, page, category, user.device, user.country)
            ad_id = random.choice(ads).ad_id
            propensity = None if decision_id else round(1 / len(ads), 4)
        event = Exposure(
            event_id=f"e-{self.number:010d}",
            user_id=user.user_id,
            ts_ms=self.now_ms,
            session_id=self.session_id(user),
            decision_id=decision_id,
            ad_id=ad_id,
            promotion_id=promotion_id,
            propensity=propensity,
            slot_id=slot.slot_id,
            position=slot.position,
            page=page,
            category=category,
            device=user.device,
            country=user.country,
            segments=user.segments,
        )
        self.append(VIEWS, user, event)
        if random.random() < self.click_through[ad_id or promotion_id]:
            self.clicks.add(self.draw_due_ms(CLICKED_AFTER_S), (user, event))

    def click(self) -> None:
        """A click on what was shown, or else on an item."""
        random, due, item = self.random, self.clicks.take(self.now_ms), self.draw_item()
        if due is None:
            user = self.draw_user()
            event = Click(
                event_id=f"c-{self.number:010d}",
                user_id=user.user_id,
                ts_ms=self.now_ms,
                kind="add_to_cart" if random.random() < TO_CART_SHARE else "item",
                session_id=self.session_id(user),
                item_id=item.item_id,
                category=item.category,
                price_micros=item.price_micros,
            )
        else:
            user, exposure = due
            event = Click(
                event_id=f"c-{self.number:010d}",
                user_id=user.user_id,
                ts_ms=self.now_ms,
                kind="ad" if exposure.ad_id else "promotion",
                session_id=self.session_id(user),
                decision_id=exposure.decision_id,
                exposure_id="" if exposure.decision_id else exposure.event_id,
                ad_id=exposure.ad_id,
                promotion_id=exposure.promotion_id,
                category=exposure.category,
            )
        self.append(CLICKS, user, event)
        if random.random() < BOUGHT_SHARE:
            self.purchases.add(self.draw_due_ms(BOUGHT_AFTER_S), (user, item))

    def purchase(self) -> None:
        """An order that a click led to, or else an unprompted one."""
        user, item = self.purchases.take(self.now_ms) or (self.draw_user(), self.draw_item())
        items = [item, *(self.draw_item() for _ in range(self.random.randrange(MAX_LINES)))]
        event = Purchase(
            event_id=f"p-{self.number:010d}",
            user_id=user.user_id,
            ts_ms=self.now_ms,
            order_id=f"order-{self.number}",
            amount_micros=sum(each.price_micros for each in items),
            lines=tuple(Line(each.item_id, 1, each.price_micros, each.category) for each in items),
            session_id=self.session_id(user),
            currency=shop.CURRENCY,
        )
        self.append(PURCHASES, user, event)

    def append(self, topic: Topic, user: _User, event: Event) -> int:
        """Append to the user's partition of a topic; the offset."""
        rows = self.records[topic.name, user.partition]
        rows.append((user.key, _encode(event), self.now_ms))
        return len(rows) - 1

    def session_id(self, user: _User) -> str:
        return f"{user.user_id}-{self.now_ms // SESSION_MS}"

    def draw_due_ms(self, mean_s: float) -> float:
        return self.now_ms + 1000 * self.random.expovariate(1 / mean_s)

    def draw_page(self) -> Page:
        return self.random.choices(shop.PAGES, shop.PAGE_SHARES)[0]

    def draw_item(self) -> Item:
        return self.random.choice(self.items)

    def draw_user(self) -> _User:
        rank = bisect(self.activity, self.random.random() * self.activity[-1])
        user = self.users.get(rank)
        if user is None:
            user_id = f"u{rank:06d}"
            key = user_id.encode()
            user = self.users[rank] = _User(
                user_id=user_id,
                key=key,
                partition=(murmur2(key) & 0x7FFFFFFF) % self.partitions,
                device=self.random.choices(shop.DEVICES, shop.DEVICE_SHARES)[0],
                country=self.random.choices(shop.COUNTRIES, shop.COUNTRY_SHARES)[0],
                segments=self.random.choice(shop.SEGMENTS),
            )
        return user
