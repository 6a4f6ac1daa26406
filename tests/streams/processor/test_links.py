from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from partitions import Partitions, as_one
from traffic import SETTINGS, T0_MS, click, exposure, purchase, refund, view

from models.profiles import PROFILE
from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.processor.arrival import decode_identity
from streams.processor.identities import Claim, Transfer
from streams.routing import partition_of
from streams.settings import Identity, State
from streams.state.lookup import user_key

COUNT = 3
SUMS = ("decayed", "affinity", "price_band")
BY_ARRIVAL = (
    "session_start_ms", "session_views", "session_items", "session_searches", "session_carts",
    "session_checkouts", "dwell_s", "earlier_active_days",
)  # fmt: skip
WHOLE = [name for name in PROFILE.names if name not in (*SUMS, *BY_ARRIVAL, "spare")]
LINKED = {"a1": "u1", "a2": "u2", "a3": "u1", "a4": "u4"}
"""Whom each anonymous id turns out to be; one user had two."""
LATER_MS = 10_000_000
"""Beyond ``identity.reclaim_after_s``: the next login asks again."""


def user_in(partition, prefix, partitions=COUNT):
    """An id that Kafka's partitioner puts there."""
    names = (f"{prefix}{n}" for n in count())
    return next(name for name in names if partition_of(name.encode(), partitions) == partition)


def key(user_id):
    return user_key("main", user_id)


def assert_same_profile(expected, actual):
    assert {name: expected[name] for name in WHOLE} == {name: actual[name] for name in WHOLE}
    for name in SUMS:
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-9, atol=1e-6)


def login(ts_ms, user_id, anonymous_id, **fields):
    return view(ts_ms, user_id, anonymous_id=anonymous_id, page="checkout", **fields)


def a_life(user_id, start_ms):
    """Events of every kind under one id."""
    return [
        view(start_ms, user_id, category="shoes", price_micros=10_000_000),
        click(start_ms + 1, user_id, kind="add_to_cart", category="shoes"),
        exposure(start_ms + 2, user_id, propensity=0.5),
        purchase(start_ms + 3, user_id, order_id=f"o-{user_id}-{start_ms}"),
        refund(start_ms + 4, user_id, order_id=f"o-{user_id}-{start_ms}"),
    ]


@pytest.mark.parametrize("anonymous_in", range(COUNT))
@pytest.mark.parametrize("known_in", range(COUNT))
def test_a_login_makes_one_profile_of_two(anonymous_in, known_in):
    """Wherever the two users are, the known one's profile is that of all events; the other one is gone."""
    anonymous, known = user_in(anonymous_in, "a"), user_in(known_in, "u")
    events = [*a_life(known, T0_MS), *a_life(anonymous, T0_MS + 10), login(T0_MS + 50, known, anonymous)]
    partitions = Partitions(COUNT)
    partitions.send(events)
    partitions.settle()
    ((expected_key, expected),) = as_one(events, {anonymous: known}).profiles().items()
    found = partitions.profiles()
    assert {expected_key} == found.keys()
    assert_same_profile(expected, found[expected_key])
    counters = [partition.processor.state.counters for partition in partitions.all]
    assert [1, 1, 1] == [sum(each[name] for each in counters) for name in ("claims", "transfers", "merges")]


steps = st.one_of(
    st.tuples(st.just("step"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("checkpoint"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("crash"), st.integers(0, COUNT - 1)),
)


@st.composite
def histories(draw):
    """Events of all users, with logins among them and at last one of each pair."""
    made = []
    for number in range(draw(st.integers(1, 25))):
        ts_ms = T0_MS + number * 700_000
        user_id = draw(st.sampled_from([*LINKED, *{*LINKED.values()}, "u9"]))
        match draw(st.integers(0, 3)):
            case 0:
                made.append(view(ts_ms, user_id, category="c", slots="a"))
            case 1:
                made.append(click(ts_ms, user_id, kind="item"))
            case 2:
                made.append(purchase(ts_ms, user_id, order_id=f"o{number}"))
            case 3:
                anonymous = draw(st.sampled_from(list(LINKED)))
                made.append(login(ts_ms, LINKED[anonymous], anonymous))
    end_ms = T0_MS + 30 * 700_000 + LATER_MS
    made += [login(end_ms + n, user, anonymous) for n, (anonymous, user) in enumerate(LINKED.items())]
    return made


def disturbed(partitions, disturbances):
    """Some of the work is done, committed, or lost; then all of it is done, and every worker replaced."""
    for what, number in disturbances:
        match what:
            case "step":
                partitions.all[number].step()
            case "checkpoint":
                partitions.checkpoint(number)
            case "crash":
                partitions.all[number].crash()
    partitions.settle()
    for partition in partitions.all:
        partition.crash()


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 25), st.lists(steps, max_size=60), st.lists(steps, max_size=60))
def test_nothing_is_lost_and_nothing_counts_twice(events, half, first, second):
    """Whatever is processed, committed and lost when: each profile is that of all its user's events."""
    partitions = Partitions(COUNT)
    for part, disturbances in ((events[:half], first), (events[half:], second)):
        partitions.send(part)
        disturbed(partitions, disturbances)
    partitions.settle()
    expected, found = as_one(events, LINKED).profiles(), partitions.profiles()
    assert expected.keys() == found.keys()
    for user in expected:
        assert_same_profile(expected[user], found[user])


def test_what_comes_later_is_claimed_by_the_next_login():
    """Late events of the anonymous id make a profile of their own until the user's next event asks again."""
    reclaim_ms = int(SETTINGS.identity.reclaim_after_s * 1000)
    partitions = Partitions(COUNT)
    partitions.send([view(T0_MS, "a1"), login(T0_MS + 1, "u1", "a1")])
    partitions.settle()
    partitions.send([view(T0_MS - 1, "a1"), login(T0_MS + 2, "u1", "a1")])
    partitions.settle()
    assert {key("a1"): 1, key("u1"): 3} == views_of(partitions)
    partitions.send([login(T0_MS + 1 + reclaim_ms, "u1", "a1")])
    partitions.settle()
    assert {key("u1"): 5} == views_of(partitions)


def views_of(partitions):
    return {user: int(row["views"]) for user, row in partitions.profiles().items()}


def claims_of(partitions):
    return sum(partition.processor.state.counters["claims"] for partition in partitions.all)


def test_one_session_asks_once():
    """Of the events of a user who is logged in only the first one sends a claim, and duplicates send none."""
    partitions = Partitions(COUNT)
    first = login(T0_MS, "u1", "a1")
    partitions.send([first, first, *(login(T0_MS + n, "u1", "a1") for n in range(1, 20))])
    partitions.send([click(T0_MS + 30, "u1", kind="item", anonymous_id="a1")])
    partitions.send([purchase(T0_MS + 31, "u1", anonymous_id="a1")])
    partitions.settle()
    assert 1 == claims_of(partitions)


@pytest.mark.parametrize("event", [
    login(T0_MS, "u1", "a1"),
    click(T0_MS, "u1", kind="item", anonymous_id="a1"),
    purchase(T0_MS, "u1", anonymous_id="a1"),
])  # fmt: skip
def test_views_clicks_and_orders_may_log_in(event):
    """Each of them may be the first that names both ids."""
    partitions = Partitions(COUNT)
    partitions.send([view(T0_MS - 1, "a1"), event])
    partitions.settle()
    assert {key("u1")} == partitions.profiles().keys()


@pytest.mark.parametrize(("fields", "shop"), [({"consent": ()}, "main"), ({"shop_id": "other"}, "other")])
def test_only_what_may_be_linked_is(fields, shop):
    """Without consent to a profile nothing is linked; users of another shop are others."""
    partitions = Partitions(COUNT)
    partitions.send([view(T0_MS, "a1"), login(T0_MS + 1, "u1", "a1", **fields)])
    partitions.settle()
    known = set() if "consent" in fields else {user_key(shop, "u1")}
    assert {key("a1"), *known} == partitions.profiles().keys()


def test_a_link_to_itself_is_none():
    """A user who is called the same before and after has nothing to be moved."""
    partitions = Partitions(COUNT)
    partitions.send([login(T0_MS, "u1", "u1")])
    partitions.settle()
    assert (0, {key("u1"): 1}) == (claims_of(partitions), views_of(partitions))


def test_of_two_users_the_first_gets_the_profile():
    """The second one to claim an anonymous id gets what has come under it since."""
    partitions = Partitions(COUNT)
    for ts_ms, user_id in ((T0_MS, "u1"), (T0_MS + 10, "u2")):
        partitions.send([view(ts_ms, "a1"), view(ts_ms + 1, "a1"), login(ts_ms + 2, user_id, "a1")])
        partitions.settle()
    assert {key("u1"): 3, key("u2"): 3} == views_of(partitions)
    partitions.send([login(T0_MS + 20, "u3", "a1")])
    partitions.settle()
    assert {key("u1"): 3, key("u2"): 3, key("u3"): 1} == views_of(partitions)


def test_links_may_be_chained():
    """Who was known before may be what another was known as: the profile goes on."""
    partitions = Partitions(COUNT)
    for n, (known, before) in enumerate([("u1", "a1"), ("u2", "u1"), ("u3", "u2")]):
        partitions.send([view(T0_MS + 10 * n, before), login(T0_MS + 10 * n + 1, known, before)])
        partitions.settle()
    assert {key("u3"): 6} == views_of(partitions)


def test_two_who_claim_each_other_lose_nothing():
    """Profiles may swap places; what was counted stays counted once."""
    partitions = Partitions(COUNT)
    partitions.send([login(T0_MS, "u1", "u2"), login(T0_MS, "u2", "u1"), view(T0_MS + 1, "u1")])
    partitions.settle()
    assert 3 == sum(views_of(partitions).values())


def test_a_claim_waits_for_the_events_before_it():
    """The anonymous user's partition may be behind: what is there of before the login comes along."""
    anonymous, known = user_in(0, "a"), user_in(1, "u")
    partitions = Partitions(COUNT)
    partitions.send([view(T0_MS + n, anonymous) for n in range(5)])
    partitions.send([login(T0_MS + 3, known, anonymous)])
    partitions.all[1].step()
    partitions.checkpoint(1)
    partitions.settle()
    assert {key(known): 4, key(anonymous): 2} == views_of(partitions)


def own_click(ts_ms, anonymous):
    """Another system's choice that was shown to someone, and clicked."""
    shown = exposure(ts_ms, anonymous, event_id=f"x-{anonymous}", propensity=0.5)
    return [shown, click(ts_ms + 1, anonymous, exposure_id=shown.event_id)]


@pytest.mark.parametrize("known_in", range(COUNT))
def test_an_order_after_the_login_finds_the_click_before_it(known_in):
    """Joined clicks come along: the order is the known user's, the exposure names where it was shown."""
    anonymous, known = user_in(0, "a"), user_in(known_in, "u")
    events = [*own_click(T0_MS, anonymous), login(T0_MS + 10, known, anonymous), purchase(T0_MS + 20, known)]
    later = [refund(T0_MS + 30_000, known, amount_micros=5_000_000), view(T0_MS + 60_000, known)]
    partitions = Partitions(COUNT)
    for part in (events, later):
        partitions.send(part)
        partitions.settle()
    earned = [each for each in outcomes_of(partitions.all[known_in]) if each.revenue_micros]
    assert [("purchase", 5_000_000, 19), ("refund", -5_000_000, 29_980)] == [
        (each.kind, each.revenue_micros, each.delay_ms) for each in earned
    ]
    assert {(known, "views-0-0", "ad0")} == {(each.user_id, each.exposure_id, each.ad_id) for each in earned}


def test_a_click_again_on_what_was_clicked_before_the_login_is_repeated():
    """The click that counts went with its user; the exposure stays clicked."""
    anonymous, known = user_in(0, "a"), user_in(1, "u")
    partitions = Partitions(COUNT)
    partitions.send([*own_click(T0_MS, anonymous), login(T0_MS + 10, known, anonymous)])
    partitions.settle()
    partitions.send([click(T0_MS + 20, anonymous, exposure_id=f"x-{anonymous}")])
    partitions.send([view(T0_MS + 10**6, user_in(0, "other"))])
    partitions.settle()
    clicks = [each.invalid for each in outcomes_of(partitions.all[0]) if each.kind == "click"]
    assert ["", "repeated"] == clicks
    examples = [decode_example(value) for value in partitions.all[0].examples]
    assert [("ctr", 1)] == [(each.task, each.label) for each in examples]


def outcomes_of(partition):
    return [decode_outcome(value) for value in partition.outcomes]


def test_an_order_before_the_login_keeps_its_click():
    """Who orders as a guest and then makes an account: the click stays for the order that waits for it."""
    anonymous, known = user_in(0, "a"), user_in(1, "u")
    partitions = Partitions(COUNT)
    partitions.send([*own_click(T0_MS, anonymous), purchase(T0_MS + 5, anonymous)])
    partitions.settle()
    partitions.send([login(T0_MS + 10, known, anonymous)])
    partitions.settle()
    partitions.send([view(T0_MS + 20_000, user_in(0, "other"))])
    partitions.settle()
    assert ["purchase"] == [each.kind for each in outcomes_of(partitions.all[0]) if each.revenue_micros]
    assert {known} == {name for name in (anonymous, known) if key(name) in partitions.profiles()}


def test_nothing_is_linked_while_an_older_release_may_take_over():
    """With ``state.write_version`` below 3 the field has no effect: nobody else would read the claim."""
    partitions = Partitions(COUNT, replace(SETTINGS, state=State(write_version=2)))
    partitions.send([view(T0_MS, "a1"), login(T0_MS + 1, "u1", "a1")])
    partitions.settle()
    assert {key("a1"): 1, key("u1"): 1} == views_of(partitions)


def test_logins_are_forgotten():
    """A pair that need not be remembered any longer leaves no row."""
    partitions = Partitions(1, replace(SETTINGS, identity=Identity(reclaim_after_s=5)))
    partitions.send([login(T0_MS, "u1", "a1")])
    partitions.settle()
    state = partitions.all[0].processor.state
    assert 1 == len(state.links)
    partitions.all[0].crash()
    partitions.send([view(T0_MS + 5_001, "u1")])
    partitions.settle()
    assert 0 == len(partitions.all[0].processor.state.links)


def test_no_id_is_on_the_topic():
    """Claims and transfers name users by the keys of their rows."""
    partitions = Partitions(COUNT)
    partitions.send([view(T0_MS, "anonymous-name"), login(T0_MS + 1, "known-name", "anonymous-name")])
    partitions.settle()
    records = [value for partition in partitions.all for value in partition.identities]
    assert [Claim, Transfer] == sorted(
        (type(decode_identity(0, value).event) for value in records), key=lambda kind: kind.__name__
    )
    assert not any(name in value for value in records for name in (b"anonymous-name", b"known-name"))
