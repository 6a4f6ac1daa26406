"""Exposure -> click -> order: the joins that give outcomes and labels.

Each side may come first: what waits for its partner lies in a pool of the state until event time (stream
time) says that the partner can no longer come. Nothing here depends on the order of arrival inside the
lateness horizon, with one exception: of several clicks that a user makes on one exposure the first to
arrive counts.
"""

from bisect import bisect_right, insort
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Literal

import numpy as np

from models.catalog import Catalog
from models.hashing import stable_key
from schemas.events import Click, Exposure, Purchase
from schemas.model import Task
from streams.processor.output import Output, encode
from streams.settings import Processing
from streams.state.layout import as_field
from streams.state.partition import PartitionState

NO_OFFSET = -1
MAX_KEY = 2**63 - 1
_REQUEST, _EXPOSURE, _PURCHASE, _CLICK = range(4)  # due together, an order is settled before its click goes


class Joins:
    """The pending requests, exposures, clicks and orders of one partition, and what becomes of them."""

    def __init__(
        self, partition: int, state: PartitionState, catalog: Catalog, output: Output, settings: Processing
    ) -> None:
        self.partition = partition
        self.state = state
        self.catalog = catalog
        self.output = output
        self.lateness_ms = int(settings.lateness_s * 1000)
        self.request_window_ms = int(settings.request_window_s * 1000)
        self.click_window_ms = int(settings.click_window_s * 1000)
        self.attribution_window_ms = int(settings.attribution_window_s * 1000)
        self._clicks_of: dict[
            int, list[tuple[int, int]]
        ] = {}  # user -> time and key of joined clicks, sorted
        self._timers: list[tuple[int, int, int]] = []  # deadline_ms, which pool, key
        self._due: tuple[Callable[[int, int], None], ...] = (
            self._request_due,
            self._exposure_due,
            self._purchase_due,
            self._click_due,
        )

    def requested(self, decision_id: str, ts_ms: int, user: int, context: np.ndarray) -> None:
        """A decision was asked for: remember what was known, for the exposure that may follow."""
        key = stable_key(decision_id)
        self.state.requests.put(key, ts_ms, user, context.tobytes())
        heappush(self._timers, (ts_ms + self.request_window_ms + self.lateness_ms, _REQUEST, key))

    def context_of(self, exposure: Exposure, user: int) -> np.ndarray | None:
        """What was known at our decision; None if there was no such decision for this user in the window."""
        request = self.state.requests.fields(stable_key(exposure.decision_id))
        if request is None:
            return None
        _, ts_ms, requester, context = request
        if requester != user or exposure.ts_ms > ts_ms + self.request_window_ms:
            return None
        return np.frombuffer(context, np.uint32)

    def exposed(self, exposure: Exposure, offset: int, user: int, buckets: np.ndarray | None) -> None:
        """An ad or promotion was shown; without ``buckets`` nothing is learned from it."""
        key = _join_key(user, exposure.decision_id, exposure.event_id)
        if exposure.decision_id:
            self.state.requests.remove(stable_key(exposure.decision_id))
            _, request_offset, request_slot = exposure.decision_id.rsplit("-", 2)
        else:
            request_offset, request_slot = str(NO_OFFSET), "0"
        self.state.exposures.put(
            key, exposure.ts_ms, user, offset, int(request_offset), int(request_slot), False,
            stable_key(exposure.ad_id or exposure.promotion_id), bool(exposure.ad_id),
            buckets is not None, b"" if buckets is None else buckets.tobytes(),
        )  # fmt: skip
        heappush(self._timers, (exposure.ts_ms + self.click_window_ms + self.lateness_ms, _EXPOSURE, key))
        self._exposure_outcome(exposure, offset)
        if key in self.state.clicks.slot_of:
            self._join(key, exposure.shop_id, exposure.user_id)

    def clicked(self, click: Click, offset: int, user: int) -> None:
        """An ad or promotion was clicked; the exposure may be still to come."""
        key = _join_key(user, click.decision_id, click.exposure_id)
        if key in self.state.clicks.slot_of:
            return
        self.state.clicks.put(
            key, click.ts_ms, user, offset, NO_OFFSET, NO_OFFSET, 0, False, 0, False, False, b""
        )
        heappush(self._timers, (click.ts_ms + self.lateness_ms, _CLICK, key))
        if key in self.state.exposures.slot_of:
            self._join(key, click.shop_id, click.user_id)

    def purchased(self, purchase: Purchase, offset: int, user: int, revenue_micros: int) -> None:
        """An order came; it is settled when every click that can earn it has come."""
        self.state.purchases.put(
            offset, purchase.ts_ms, user, offset, revenue_micros,
            as_field(purchase.shop_id), as_field(purchase.user_id), as_field(purchase.order_id),
        )  # fmt: skip
        heappush(self._timers, (purchase.ts_ms + self.lateness_ms, _PURCHASE, offset))

    def expire(self, stream_ms: int) -> None:
        """Do all that is due before a stream time, in order of its deadline.

        At its deadline nothing is due yet: an event that is late by exactly the horizon still joins.
        """
        timers = self._timers
        while timers and timers[0][0] < stream_ms:
            deadline_ms, pool, key = heappop(timers)
            self._due[pool](key, deadline_ms)

    def rebuild(self) -> None:
        """Derive timers and the clicks by user from the pools."""
        state, lateness_ms = self.state, self.lateness_ms
        waits_ms = (
            (_REQUEST, state.requests, self.request_window_ms),
            (_EXPOSURE, state.exposures, self.click_window_ms),
            (_PURCHASE, state.purchases, 0),
        )
        self._timers = [
            (int(row["ts_ms"]) + wait_ms + lateness_ms, pool, int(row["key"]))
            for pool, rows, wait_ms in waits_ms
            for row in rows
        ]
        self._clicks_of = {}
        for row in state.clicks:
            key, joined = int(row["key"]), row["exposure_offset"] != NO_OFFSET
            wait_ms = self.attribution_window_ms if joined else 0
            self._timers.append((int(row["ts_ms"]) + wait_ms + lateness_ms, _CLICK, key))
            if joined:
                insort(self._clicks_of.setdefault(int(row["user"]), []), (int(row["ts_ms"]), key))
        heapify(self._timers)

    def _join(self, key: int, shop_id: str, user_id: str) -> None:
        """A click and its exposure are both here: label the exposure, and open the wait for an order."""
        exposure, click = self.state.exposures[key], self.state.clicks[key]
        delay_ms = int(click["ts_ms"]) - int(exposure["ts_ms"])
        if not 0 <= delay_ms <= self.click_window_ms:
            # Outside the window it must not stand in the way of a click inside it.
            self.state.counters["unmatched_clicks"] += 1
            self.state.clicks.remove(key)
            return
        exposure["clicked"] = 1
        for field in ("request_offset", "request_slot", "shown", "is_ad", "learnable", "buckets"):
            click[field] = exposure[field]
        click["exposure_offset"] = exposure["offset"]
        self.state.exposures.touch(key)
        self.state.clicks.touch(key)
        insort(self._clicks_of.setdefault(int(click["user"]), []), (int(click["ts_ms"]), key))
        heappush(
            self._timers,
            (int(click["ts_ms"]) + self.attribution_window_ms + self.lateness_ms, _CLICK, key),
        )
        self._click_outcome(
            "click", f"clicks-{self.partition}-{click['offset']}", int(click["ts_ms"]), shop_id, user_id,
            click, delay_ms,
        )  # fmt: skip
        self._row_example("ctr", exposure, 1)
        self._row_example("cvr", click, 0)

    def _request_due(self, key: int, deadline_ms: int) -> None:
        self.state.requests.remove(key)

    def _exposure_due(self, key: int, deadline_ms: int) -> None:
        exposure = self.state.exposures.fields(key)
        if exposure is not None:
            _, ts_ms, _, offset, request_offset, _, clicked, _, _, learnable, buckets = exposure
            if learnable and not clicked:
                self._example("ctr", ts_ms, offset, request_offset, buckets, 0)
            self.state.exposures.remove(key)

    def _click_due(self, key: int, deadline_ms: int) -> None:
        click = self.state.clicks.get(key)
        if click is None:
            return
        joined = click["exposure_offset"] != NO_OFFSET
        wait_ms = self.attribution_window_ms if joined else 0
        if deadline_ms < int(click["ts_ms"]) + wait_ms + self.lateness_ms:
            return  # set before it was joined, or for another click: it has a later one
        if not joined:
            self.state.counters["unmatched_clicks"] += 1
        else:
            clicks = self._clicks_of[int(click["user"])]
            clicks.remove((int(click["ts_ms"]), key))
            if not clicks:
                del self._clicks_of[int(click["user"])]
        self.state.clicks.remove(key)

    def _purchase_due(self, key: int, deadline_ms: int) -> None:
        """Attribute an order to the user's last click before it inside the window, if there is one."""
        purchase = self.state.purchases.get(key)
        if purchase is None:
            return
        ts_ms = int(purchase["ts_ms"])
        earning = self._last_click(int(purchase["user"]), ts_ms)
        if earning is not None:
            self._click_outcome(
                "purchase", f"purchases-{self.partition}-{purchase['offset']}", ts_ms,
                str(purchase["shop_id"]), str(purchase["user_id"]), earning, ts_ms - int(earning["ts_ms"]),
                int(purchase["revenue_micros"]), str(purchase["order_id"]),
            )  # fmt: skip
            if not earning["converted"]:
                earning["converted"] = 1
                self.state.clicks.touch(int(earning["key"]))
                self._row_example("cvr", earning, 1)
        self.state.purchases.remove(key)

    def _last_click(self, user: int, ts_ms: int) -> np.void | None:
        """The user's newest joined click at or before a time and inside the attribution window."""
        clicks = self._clicks_of.get(user, [])
        for click_ms, key in reversed(clicks[: bisect_right(clicks, (ts_ms, MAX_KEY))]):
            if ts_ms - click_ms > self.attribution_window_ms:
                break
            if key in self.state.clicks.slot_of:  # else it has made room for another
                return self.state.clicks[key]
        return None

    def _row_example(self, task: Task, row: np.void, label: Literal[0, 1]) -> None:
        """The example of an exposure or a click, if it can be learned from."""
        if row["learnable"]:
            offsets = int(row["offset"]), int(row["request_offset"])
            self._example(task, int(row["ts_ms"]), *offsets, row["buckets"].tobytes(), label)

    def _example(
        self, task: Task, ts_ms: int, offset: int, request_offset: int, buckets: bytes, label: Literal[0, 1]
    ) -> None:
        example = {
            "example_id": f"{task}-{self.partition}-{offset}-{label}",
            "task": task,
            "ts_ms": ts_ms,
            "label": label,
            "weight": 1.0,
            "source": "foreign" if request_offset == NO_OFFSET else "own",
            "buckets": np.frombuffer(buckets, np.uint32),
        }
        self.output.examples.append((None, encode(example)))

    def _exposure_outcome(self, exposure: Exposure, offset: int) -> None:
        """Say that it was shown."""
        ad_id, promotion_id = exposure.ad_id, exposure.promotion_id
        exposure_id = f"views-{self.partition}-{offset}"
        outcome = {
            "outcome_id": f"exposure-{exposure_id}",
            "kind": "exposure",
            "ts_ms": exposure.ts_ms,
            "shop_id": exposure.shop_id,
            "decision_id": exposure.decision_id,
            "exposure_id": exposure_id,
            "user_id": exposure.user_id,
            "ad_id": ad_id,
            "promotion_id": promotion_id,
            "campaign_id": self.catalog.campaign_of(exposure.shop_id, ad_id, promotion_id),
            "slot_id": exposure.slot_id,
            "position": exposure.position,
            "propensity": exposure.propensity or 0.0,
            "revenue_micros": 0,
            "delay_ms": 0,
            "order_id": "",
        }
        self.output.outcomes.append((exposure.user_id.encode(), encode(outcome)))

    def _click_outcome(
        self, kind: str, cause: str, ts_ms: int, shop_id: str, user_id: str, click: np.void, delay_ms: int,
        revenue_micros: int = 0, order_id: str = "",
    ) -> None:  # fmt: skip
        """Say that it was clicked, or that the click earned an order."""
        own = click["request_offset"] != NO_OFFSET
        name = self.catalog.name_of(int(click["shown"]))
        ad_id, promotion_id = (name, "") if click["is_ad"] else ("", name)
        decision_id = f"views-{self.partition}-{click['request_offset']}-{click['request_slot']}"
        outcome = {
            "outcome_id": f"{kind}-{cause}",
            "kind": kind,
            "ts_ms": ts_ms,
            "shop_id": shop_id,
            "decision_id": decision_id if own else "",
            "exposure_id": f"views-{self.partition}-{click['exposure_offset']}",
            "user_id": user_id,
            "ad_id": ad_id,
            "promotion_id": promotion_id,
            "campaign_id": self.catalog.campaign_of(shop_id, ad_id, promotion_id),
            "slot_id": "",
            "position": 0,
            "propensity": 0.0,
            "revenue_micros": revenue_micros,
            "delay_ms": delay_ms,
            "order_id": order_id,
        }
        self.output.outcomes.append((user_id.encode(), encode(outcome)))


def _join_key(user: int, decision_id: str, exposure_id: str) -> int:
    """Key under which a user's click meets the exposure: of our decision, or of another system's choice.

    With the user in it, nobody else's click can take the place of the user's.
    """
    return stable_key(f"own/{decision_id}" if decision_id else f"foreign/{exposure_id}", seed=user)
