"""A mapping tried on a sample."""

from streams.adoption.mapping import loads
from streams.adoption.sampling import Sampled
from streams.adoption.trial import try_on

MAPPING = loads("""
[[topics]]
name = "web"
[[topics.rules]]
event = "view"
when = { "$.e" = ["page"] }
fields.event_id = { path = "$.id" }
fields.user_id = { path = "$.u" }
fields.ts_ms = { path = "$.t" }
fields.page = { value = "home" }
[[topics.rules]]
event = "ignore"
when = { "$.e" = ["ping"] }
""")
VIEW = b'{"e":"page","id":"%d","u":"u%d","t":1748851200000,"note":"x","deep":{"er":1}}'


def report(*values, partition=0):
    """What becomes of some records."""
    [found] = try_on(
        MAPPING, {"web": [Sampled(value, partition, offset) for offset, value in enumerate(values)]}
    )
    return found


def test_every_record_is_counted_once():
    """Mapped, ignored and dead letters make up the sample; dead letters come with their reasons."""
    broken = VIEW.replace(b'"u%d"', b"[]") % 1
    found = report(VIEW % (1, 1), VIEW % (2, 2), b'{"e":"ping"}', b"?", broken, b'{"e":"odd"}')
    assert (6, {"view": 2}, 1) == (found.sampled, found.mapped, found.ignored)
    assert {
        "JSON is malformed: invalid character (byte 0)": 1,
        "Expected `str` or `int`, got `array` - at `$.u`": 1,
        "Expected a kind of record that the mapping has a rule for - at `$.e`": 1,
    } == found.dead_letters
    assert ({"odd": 1}, 1 / 3) == (found.unknown, found.mapped_share)


def test_fields_that_no_rule_looks_at_are_shown():
    """With the share of the mapped records that have them."""
    without = VIEW.replace(b',"note":"x"', b"") % (2, 2)
    assert {"$.deep.er": 1.0, "$.note": 0.5} == report(VIEW % (1, 1), without).unmapped


def test_users_in_several_partitions_are_counted():
    """A topic that is not keyed by the user is found out."""
    sample = [Sampled(VIEW % (1, 1), 0), Sampled(VIEW % (2, 1), 1), Sampled(VIEW % (3, 2), 1)]
    [found] = try_on(MAPPING, {"web": sample})
    assert (2, 2, 1) == (found.partitions, found.users, found.scattered_users)


def test_a_topic_without_rules_maps_nothing():
    """All of its sample would be dead letters."""
    [found] = try_on(MAPPING, {"other": [Sampled(b"{}")]})
    assert (0.0, 1) == (found.mapped_share, sum(found.dead_letters.values()))
