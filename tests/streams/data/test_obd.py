"""Open Bandit rows as events."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from schemas.bounds import MAX_ID_LENGTH
from schemas.catalog import Ad, Campaign, Shop
from schemas.events import Click, Exposure, Slot, View
from streams.data import obd
from streams.settings import Processing

Contents = Callable[[Path], tuple[list[Any], list[Any]]]

HEADER = ",timestamp,item_id,position,click,propensity_score," + ",".join(
    f"user_feature_{i}" for i in range(4)
)
HASHES = [character * 32 for character in "abcd"]
LOGS = {
    "random": f"0,2019-11-24 00:00:34.762830+00:00,1,3,0,0.0125,{','.join(HASHES)}\n",
    "bts": f"0,2019-11-24 00:00:17.004101+00:00,0,2,1,4.5e-05,{','.join(reversed(HASHES))}\n",
}
ITEMS = (
    f",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3\n0,0,-0.2,{','.join(HASHES[:3])}\n"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A wheel with one row a policy."""
    path = tmp_path / "obd.whl"
    with ZipFile(path, "w") as archive:
        for policy, row in LOGS.items():
            archive.writestr(f"obp/dataset/obd/{policy}/all/all.csv", f"{HEADER}\n{row}")
            archive.writestr(f"obp/dataset/obd/{policy}/all/item_context.csv", ITEMS)
    return path


def test_a_row_becomes_a_request_an_exposure_and_a_click(
    source: Path, tmp_path: Path, contents: Contents
) -> None:
    """The clicked row asks 1 ms before what was shown, and its click names the exposure."""
    report = obd.convert(source, tmp_path / "obd.jsonl.gz")
    _, events = contents(tmp_path / "obd.jsonl.gz")
    view, exposure, click = events[:3]
    assert isinstance(view, View)
    assert isinstance(exposure, Exposure)
    assert isinstance(click, Click)
    assert 1_574_553_617_003 == view.ts_ms
    assert (Slot("all-2", position=2),) == view.slots
    assert ("dddddddd", "cccccccc", "bbbbbbbb", "aaaaaaaa") == view.segments == exposure.segments
    assert 1_574_553_617_004 == exposure.ts_ms
    assert ("all-0", "all-2", 2, 4.5e-05) == (
        exposure.ad_id,
        exposure.slot_id,
        exposure.position,
        exposure.propensity,
    )
    assert exposure.event_id == click.exposure_id
    assert exposure.ts_ms + 10_000 == click.ts_ms
    assert view.user_id == exposure.user_id == click.user_id
    assert {"shop": 1, "campaign": 1, "ad": 1, "view": 2, "exposure": 2, "click": 1} == report.counts
    assert 2 == report.applied["users_from_feature_hashes"]


def test_the_catalogue_holds_what_the_policies_chose_from(
    source: Path, tmp_path: Path, contents: Contents
) -> None:
    """An item becomes an ad that may stand in the slots of its campaign."""
    obd.convert(source, tmp_path / "obd.jsonl.gz")
    entries, _ = contents(tmp_path / "obd.jsonl.gz")
    assert [
        Shop("obd", currency="JPY", time_zone="Asia/Tokyo"),
        Campaign("all", "obd", name="Open Bandit, campaign all"),
        Ad(
            "all-0",
            "all",
            obd.BID_MICROS,
            "obd",
            category="cccccccc",
            features=("-0.5", "aaaaaaaa", "bbbbbbbb", "cccccccc"),
            slots=("all-1", "all-2", "all-3"),
        ),
    ] == entries


def test_a_click_falls_into_the_default_window() -> None:
    """The time that stands in for the unknown one counts under the default settings."""
    assert obd.CLICK_DELAY_MS < Processing().click_window_s * 1000


def test_the_real_log_gives_its_totals(
    fetched: Callable[[obd.wheel.Wheel], Path],
    tmp_path: Path,
    contents: Contents,
) -> None:
    """20,000 rows, 80 clicks, 280 users; ids are unique and short, words distinct, times in order."""
    report = obd.convert(fetched(obd.WHEEL), tmp_path / "obd.jsonl.gz")
    _, events = contents(tmp_path / "obd.jsonl.gz")
    expected = {"shop": 1, "campaign": 1, "ad": 80, "view": 20_000, "exposure": 20_000, "click": 80}
    assert expected == report.counts
    assert 280 == report.applied["users_from_feature_hashes"]
    assert {"random": 38, "bts": 42} == Counter(
        e.event_id.split("-")[0] for e in events if isinstance(e, Click)
    )
    assert len(events) == len({event.event_id for event in events})
    assert MAX_ID_LENGTH >= max(len(event.event_id) for event in events)
    words = zip(*(event.segments for event in events if isinstance(event, View)), strict=True)
    assert [3, 5, 9, 9] == [len(set(column)) for column in words]
    assert sorted(event.ts_ms for event in events) == [event.ts_ms for event in events]
