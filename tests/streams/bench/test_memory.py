"""Memory with more users than are kept."""

from xml.etree import ElementTree

import pytest

pytest.importorskip("psutil", reason="the extra `bench` is not installed")

from streams.bench.memory import picture, run


def test_no_more_profiles_are_kept_than_the_cap_allows() -> None:
    """The pools stay at the cap, what made room is counted, and the picture is well-formed and small."""
    seen: list[int] = []
    report = run(120_000, 16_000, seen.append)
    assert 120_000 == sum(seen) == report.samples[-1].users
    assert max(sample.profiles for sample in report.samples) <= 16_000
    assert 120_000 - report.samples[-1].profiles == report.overflowed
    drawn = picture(report)
    assert len(drawn) < 20_000
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
