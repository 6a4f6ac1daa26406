"""Readers of converted files, and the real wheels where they were fetched."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.catalog import Entry, decode_entry
from schemas.events import Event, decode_click, decode_purchase, decode_view
from schemas.topics import CATALOG, CLICKS, PURCHASES, VIEWS
from streams.data.wheel import Wheel
from streams.routing import route
from streams.settings import load

DECODERS = {VIEWS.name: decode_view, CLICKS.name: decode_click, PURCHASES.name: decode_purchase}


@pytest.fixture
def contents() -> Callable[[Path], tuple[list[Entry], list[Event]]]:
    """Decodes every line of a file as the reader of its topic does: entries, then events."""

    def read(path: Path) -> tuple[list[Entry], list[Event]]:
        with gzip.open(path) as lines:
            records = list(route(lines))
        entries = [record for record in records if record.topic == CATALOG.name]
        assert entries == records[: len(entries)], "expected the catalogue first"
        events = [DECODERS[record.topic](record.value) for record in records[len(entries) :]]
        return [decode_entry(record.value) for record in entries], events

    return read


@pytest.fixture
def fetched() -> Callable[[Wheel], Path]:
    """The path of a wheel that `headrace data fetch` brought; without it the test is skipped."""

    def find(wheel: Wheel) -> Path:
        path = Path(load().embedded.data_dir) / "wheels" / wheel.filename
        if not path.exists():
            pytest.skip(f"{path} is not there: `headrace data fetch` brings it")
        return path

    return find
