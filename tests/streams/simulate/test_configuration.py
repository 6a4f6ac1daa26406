"""Configurations of synthetic shops."""

from pathlib import Path

import pytest
from msgspec import to_builtins

from streams.simulate.configuration import ConfigurationError, changed, load, start_ms

BASE = (Path(__file__).parents[3] / "streams" / "simulate" / "base.toml").read_text()


def test_the_second_differs_in_every_section() -> None:
    """What holds on both shops is no accident of one: they share no section but that of bots."""
    base, other = (to_builtins(load(name)) for name in ("base", "other"))
    assert ["bots"] == [section for section in base if base[section] == other[section]]


def test_both_start_in_the_past_of_every_clock() -> None:
    """A broker's time is ahead of the log's: no event is refused for coming from the future."""
    assert all(start_ms(load(name)) < 1_764_000_000_000 for name in ("base", "other"))


def test_a_file_is_a_configuration(tmp_path: Path) -> None:
    """Any TOML file with these tables is taken."""
    path = tmp_path / "mine.toml"
    path.write_text(BASE.replace("rate = 0.06", "rate = 0.5"))
    assert 0.5 == load(str(path)).clicks.rate


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("rate = 0.06", "rate = 6", "Expected `float` < 1.0 - at `$.clicks.rate`"),
        ("rate = 0.06", 'rate = "6"', "Expected `float`, got `str` - at `$.clicks.rate`"),
        ("rate = 0.06", "rat = 0.06", "Object contains unknown field `rat` - at `$.clicks`"),
        ("house = 2", "house = 300", "Expected `ads.house` <= `ads.count`"),
        ("[0.3, 0.45]", "[0.3]", "Expected as many `widths_h` and `weights` as `peaks_h` - at `$.day`"),
        ("[0.3, 0.45]", "[0.7, 0.45]", "Expected `weights` that sum to at most 1 - at `$.day`"),
        ("[shop]", '[shop]\nstart = "soon"', "Expected `shop.start` as an ISO 8601 time from 2000 to 2100"),
        (
            "mean_s = 1200",
            "mean_s = 1200, category_sd = 1",
            "Expected `category_sd` in `clicks.delay` and `purchases.delay` only",
        ),
        ("[shop]", "[shop", "Expected ']' at the end of a table declaration (at line 3, column 6)"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """The error says which file, where in it, and what was expected."""
    path = tmp_path / "mine.toml"
    assert old in BASE
    path.write_text(BASE.replace(old, new))
    with pytest.raises(ConfigurationError) as error:
        load(str(path))
    assert f"Configuration {path}: {reason}" == str(error.value)


def test_a_missing_file_is_named() -> None:
    """The error names what is shipped."""
    with pytest.raises(ConfigurationError, match="expected base, other or a TOML file"):
        load("absent")


def test_drift_and_bots_can_be_asked_for() -> None:
    """Each changes its section and nothing else."""
    base = load("base")
    asked = changed(base, drift="recurring", bots_share=0.1)
    assert ("recurring", 0.1) == (asked.drift.kind, asked.bots.share)
    assert base == changed(asked, drift="none", bots_share=0.0)
    assert base == changed(base)
