"""What the rules find on the shop that nothing was tuned on."""

import orjson
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from streams.bench.invalid import Report, run
from streams.cli import main
from streams.settings import Settings, Validity

EVENTS = 15_000


def report_of(validity: Validity) -> Report:
    settings = replace(Settings(), validity=validity)
    return run("other", 2, EVENTS, 0.1, settings, lambda events: None)


@pytest.fixture(scope="module")
def by_default() -> Report:
    """With the rules as they are shipped."""
    return report_of(Validity())


def test_bots_that_are_too_fast_are_found(by_default: Report) -> None:
    """Those that click at once all; those that click at inhuman rates, but for short visits."""
    found = by_default.by_kind
    assert 1.0 == found["instant"].share
    assert found["rapid"].share > 0.85
    assert set(found["rapid"].reasons) == {"rate", "impossible_timing"}


def test_people_are_hardly_ever_taken_for_bots(by_default: Report) -> None:
    """At most those whose delay, drawn from a law with mass at zero, is one that no person has."""
    person = by_default.by_kind["person"]
    assert person.clicks > 100
    assert person.share < 0.02
    assert set(person.reasons) <= {"impossible_timing"}


def test_bots_without_page_views_are_found_on_request(by_default: Report) -> None:
    """Their clicks look like any others; that they view no page tells, and costs nobody else a click."""
    found = report_of(Validity(require_page_view=True)).by_kind
    assert by_default.by_kind["viewless"].share < 0.1
    assert 1.0 == found["viewless"].share
    assert by_default.by_kind["person"] == found["person"]


def test_without_rules_nothing_is_found() -> None:
    """What is found above is found by them."""
    found = report_of(Validity(min_click_delay_ms=0, max_clicks=0)).by_kind
    assert 0 == sum(each.invalid for each in found.values())


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "invalid", "--events", "2000", "--bots", "0.3", *arguments])


def test_the_command_reports_each_kind() -> None:
    """A line for people and each kind of bot, or one JSON object."""
    lines = bench().stdout.splitlines()
    assert ["user", "person", "rapid", "instant", "viewless"] == [line.split()[0] for line in lines]
    report = orjson.loads(bench("--json").stdout)
    assert {"configuration": "other", "events": 2000}.items() <= report.items()
    assert {"person", "rapid", "instant", "viewless"} == report["by_kind"].keys()


def test_an_unknown_shop_is_wrong_usage() -> None:
    """Exit status 2, and what there is."""
    result = bench("--config", "nowhere")
    assert 2 == result.exit_code
    assert "expected base, other or a TOML file" in result.stderr
