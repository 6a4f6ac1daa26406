from collections import Counter

from streams.bench.broken.kinds import Kind, kinds
from streams.bench.broken.run import fuzz, run
from streams.processor.rules import MAX_CLICKS, set_rules
from streams.state.books import RULES


def test_broken_records_change_nothing_and_none_is_lost():
    """Every kind and some fuzzed ones among good events: dead letters, and the same effects."""
    done = Counter()
    report = run(fuzzed=3000, seed=2, events=2000, advance=lambda records: done.update(records=records))
    assert report.passed
    assert len(list(kinds())) == report.kinds
    assert report.kinds + 3000 == report.dead_letters + report.still_events
    assert 2000 == report.good_events
    assert 3 * 2000 + report.kinds + 3000 < done["records"]


def test_invalid_traffic_is_counted_by_rule():
    """Each forgery by the rule for it, and by no other; good events fare as without."""
    report = run(fuzzed=0, seed=3, events=2000, advance=lambda records: None)
    assert report.passed
    assert {
        "invalid_impossible_timing": 2,
        "invalid_rate": 63,
        "invalid_no_exposure": 2,
        "invalid_no_decision": 3,
        "invalid_repeated": 2,
        "duplicates": 1,
    } == {name: count for name, count in report.by_rule.items() if count}


def test_a_rule_that_finds_nothing_is_noticed(monkeypatch):
    """A processor that took every rate for human would fail the run."""

    def set_without_limit(books, *others):
        set_rules(books, *others)
        books[RULES, MAX_CLICKS] = 0

    monkeypatch.setattr("streams.processor.processor.set_rules", set_without_limit)
    report = run(fuzzed=0, seed=3, events=1000, advance=lambda records: None)
    assert 63 + 20 == report.miscounted
    assert not report.passed


def test_a_record_that_is_lost_is_noticed(monkeypatch):
    """A processor that swallowed what it cannot use would fail the run."""
    monkeypatch.setattr("streams.processor.output.Output.dead_letter", lambda self, letter: None)
    report = run(fuzzed=0, seed=2, events=1000, advance=lambda records: None)
    assert report.kinds == report.lost
    assert not report.passed


def test_an_effect_on_good_events_is_noticed(monkeypatch):
    """A broken record that got through in the name of a good user would fail the run."""
    view = b'{"type":"view","event_id":"x","user_id":"u000000","ts_ms":1748851200000,"page":"home"}'
    monkeypatch.setattr("streams.bench.broken.run.kinds", lambda: [Kind("good after all", 0, view)])
    assert 0 < run(fuzzed=0, seed=2, events=1000, advance=lambda records: None).profile_mismatches


def test_fuzzing_repeats():
    """The same seed gives the same records, most of which are broken."""
    first, again = list(fuzz(500, seed=4)), list(fuzz(500, seed=4))
    assert first == again
    assert first != list(fuzz(500, seed=5))
