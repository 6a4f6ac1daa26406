from itertools import permutations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from traffic import (
    BITS,
    SETTINGS,
    T0_MS,
    TOPICS,
    arrivals,
    click,
    exposure,
    new_processor,
    purchase,
    refund,
    view,
)

from models.features import CONTEXT
from models.hashing import bucket_of
from models.profiles import DAY_MS
from models.promotion import POLICY as PROMOTION_POLICY
from models.promotion import is_held_out
from schemas.dead_letters import decode_dead_letter
from schemas.decisions import decode_decision
from schemas.outcomes import decode_outcome
from streams.processor.arrival import Arrival, decode
from streams.processor.consent import Consents
from streams.settings import Consent, Deciding
from streams.sinks.rows import blocks
from streams.state.lookup import user_key

NAME = "user-nobody-may-know"
OF_THE_USER = (
    "user",
    "intent",
    "views_session",
    "views_season",
    "click_rate",
    "own_click_rate",
    "ads_recent",
)
"""Features of the context whose missing value is 0."""
NONE, PROFILE, ALL = (), ("profile",), ("profile", "personalisation")


def with_default(when_absent):
    return replace(SETTINGS, consent=Consent(when_absent))


def a_visit(consent=None, suffix="-nobody", user_id=NAME, start=0):
    """A view that asks for two decisions, what became of the first, an order and a refund, of one user."""
    t = T0_MS + start
    first = f"views-0-0-0{suffix}"
    return [
        view(t, user_id, slots="ap", consent=consent, segments=("vip", "late")),
        exposure(t + 1, user_id, decision_id=first, consent=consent),
        exposure(t + 2, user_id, propensity=0.5, event_id=f"foreign-{start}", consent=consent),
        click(t + 3, user_id, decision_id=first, consent=consent),
        click(t + 4, user_id, exposure_id=f"foreign-{start}", consent=consent),
        click(t + 5, user_id, kind="item", category="shoes", consent=consent),
        purchase(t + 6, user_id, consent=consent),
        refund(t + 7, user_id, consent=consent),
    ]


def run(events, settings=SETTINGS):
    """A processor that has seen the events, and the changelog of all of its checkpoints."""
    processor = new_processor(settings, weights_seed=1)
    changelog = []
    for arrival in arrivals(events):
        processor.process([arrival])
        changelog += processor.state.drain()
    processor.advance(T0_MS + DAY_MS)
    return processor, changelog + processor.state.drain()


def said(processor):
    output = processor.output
    return [*output.decisions, *output.outcomes, *output.examples, *output.dead_letters]


def traces(user_id, shop_id="main"):
    """In which bytes a user could be found: the id, as text and as rows keep it, and the key of its rows."""
    key = user_key(shop_id, user_id)
    return [
        user_id.encode(), user_id.encode("utf-32-le"), key.to_bytes(8, "little"), key.to_bytes(8, "big"),
        str(key).encode(),
    ]  # fmt: skip


def test_nothing_personal_is_left_of_an_event_without_consent():
    """No byte of any output, of any checkpoint or of ClickHouse's rows has the user's id or key."""
    processor, changelog = run(a_visit(NONE))
    everything = [part for message in (*said(processor), *changelog) for part in message if part]
    for topic, messages in (
        ("decisions", processor.output.decisions),
        ("outcomes", processor.output.outcomes),
    ):
        rows = blocks(topic, 0, [(n, value) for n, (_, value) in enumerate(messages)])
        everything.append(orjson.dumps(rows, option=orjson.OPT_NON_STR_KEYS))
    assert [] == [part for part in everything for trace in traces(NAME) if trace in part]
    assert (0, 2, 4) == (
        len(processor.state.profiles),
        len(processor.output.decisions),
        len(processor.output.outcomes),
    )


def test_what_is_looked_for_would_be_found():
    """With consent the id and the key are in the outputs and in the changelog."""
    processor, changelog = run(a_visit(ALL, suffix=""))
    everything = [part for message in (*said(processor), *changelog) for part in message if part]
    id_text, id_rows, key, *_ = traces(NAME)
    assert all(any(trace in part for part in everything) for trace in (id_text, id_rows, key))


def test_a_dead_letter_has_the_bytes_as_they_came():
    """What cannot be read cannot be asked for consent: a dead letter has the id, as is documented."""
    raw = b'{"type":"view","user_id":"%s","consent":[]' % NAME.encode()
    processor = new_processor()
    processor.process([decode(0, 0, 0, T0_MS, raw, 0)])
    ((_, value),) = processor.output.dead_letters
    assert raw == decode_dead_letter(value).raw


def test_what_was_shown_without_consent_is_labelled():
    """Exposures and clicks join by the decision's identity, and give outcomes and examples of nobody."""
    processor, _ = run(a_visit(NONE))
    outcomes = [decode_outcome(value) for _, value in processor.output.outcomes]
    assert {
        ("exposure", "views-0-0-0-nobody"),
        ("exposure", ""),
        ("click", "views-0-0-0-nobody"),
        ("click", ""),
    } == {(outcome.kind, outcome.decision_id) for outcome in outcomes}
    assert {("", None)} == {
        (outcome.user_id, key) for outcome, (key, _) in zip(outcomes, processor.output.outcomes, strict=True)
    }
    examples = [orjson.loads(value) for _, value in processor.output.examples]
    assert [("ctr", 1)] * 2 + [("cvr", 0)] * 2 == sorted((each["task"], each["label"]) for each in examples)
    of_nobody = {name: int(bucket_of(CONTEXT.index(name), 0, 2**BITS - 1)) for name in OF_THE_USER}
    for example in examples:
        assert of_nobody == {name: example["buckets"][CONTEXT.index(name)] for name in OF_THE_USER}


def test_a_decision_without_consent_says_so():
    """It is contextual, nobody's, and its record has no key."""
    processor, _ = run(a_visit(NONE))
    for key, value in processor.output.decisions:
        decision = decode_decision(value)
        assert (None, "", "contextual") == (key, decision.user_id, decision.basis)
        assert decision.decision_id.endswith("-nobody")
    assert 2 == processor.state.counters["contextual"]


def test_what_is_known_of_the_user_makes_no_difference_to_a_contextual_decision():
    """Whoever asks, whatever the profile says and whatever words the shop has: the same scores and shares."""
    history = [click(T0_MS - 50 + n, "u1", kind="item", category="shoes") for n in range(30)]
    asked = [
        [view(T0_MS, "u1", slots="a", consent=consent, segments=segments)]
        for consent in (NONE, PROFILE)
        for segments in ((), ("vip",))
    ]
    found = set()
    for events in (*asked, *([*history, *each] for each in asked)):
        processor, _ = run(events)
        ((_, value),) = processor.output.decisions
        decision = decode_decision(value)
        of_context = [share for name, share in decision.contributions.items() if name in CONTEXT]
        found.add((*decision.candidates.p_click, *of_context))
        assert "contextual" == decision.basis
    assert 1 == len(found)


def test_a_profile_may_be_kept_without_being_used():
    """With `profile` alone the view counts in the profile; the decision is contextual, and the user's."""
    processor, _ = run(a_visit(PROFILE, suffix=""))
    (profile,) = processor.state.profiles
    assert (1, 2, 3, 1) == tuple(int(profile[name]) for name in ("views", "exposures", "clicks", "purchases"))
    for key, value in processor.output.decisions:
        decision = decode_decision(value)
        assert (NAME.encode(), NAME, "contextual", False) == (
            key, decision.user_id, decision.basis, decision.decision_id.endswith("-nobody"),
        )  # fmt: skip
    kinds = {decode_outcome(value).kind for _, value in processor.output.outcomes}
    assert {"exposure", "click", "purchase", "refund"} == kinds


@given(st.sampled_from(["all", "profile", "none"]), st.sampled_from([None, NONE, PROFILE, ALL]))
def test_an_absent_field_is_what_the_settings_say(when_absent, consent):
    """What an event says itself always counts; one that says nothing is taken as the setting's purposes."""
    consents = Consents(when_absent)
    purposes = {"all": ALL, "profile": PROFILE, "none": NONE}[when_absent] if consent is None else consent
    assert ("profile" in purposes, purposes == ALL) == (
        consents.profile(consent), consents.personalisation(consent),
    )  # fmt: skip


@pytest.mark.parametrize(("when_absent", "profiles", "basis"), [
    ("all", 1, "personal"), ("profile", 1, "contextual"), ("none", 0, "contextual"),
])  # fmt: skip
def test_a_shop_may_ask_for_consent_by_default(when_absent, profiles, basis):
    """With ``consent.when_absent`` all that a producer does not say is withheld."""
    processor, _ = run([view(T0_MS, slots="ap")], with_default(when_absent))
    bases = {decode_decision(value).basis for _, value in processor.output.decisions}
    assert (profiles, {basis}) == (len(processor.state.profiles), bases)


def test_explicit_consent_is_as_good_as_none_said():
    """An event that grants everything has the very same effect as one that says nothing."""
    loud, quiet = run(a_visit(ALL, suffix="")), run(a_visit(None, suffix=""))
    names = [[(key, strip(value)) for key, value in said(processor)] for processor, _ in (loud, quiet)]
    assert names[0] == names[1]
    assert loud[0].state.counters == quiet[0].state.counters


def strip(value):
    """Without the event ids, which every event has of its own."""
    return {name: field for name, field in orjson.loads(value).items() if name != "event_id"}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_arrival_makes_no_difference_to_nobody(order):
    """A click that says nothing of consent is nobody's if the decision is, also if it comes first."""
    events = [
        exposure(T0_MS + 1, NAME, decision_id="views-0-0-0-nobody"),
        click(T0_MS + 2, NAME, decision_id="views-0-0-0-nobody"),
        view(T0_MS + 3, "other"),
    ]
    found = [
        Arrival(TOPICS[type(event)], 0, n + 1, event.ts_ms, b"", event) for n, event in enumerate(events)
    ]
    processor = new_processor()
    processor.process(arrivals([view(T0_MS, NAME, slots="a", consent=NONE)]))
    processor.process([found[place] for place in order])
    outcomes = [decode_outcome(value) for _, value in processor.output.outcomes]
    assert [("click", ""), ("exposure", "")] == sorted((each.kind, each.user_id) for each in outcomes)
    assert [user_key("main", "other")] == [profile["key"] for profile in processor.state.profiles]


def test_consent_that_was_withdrawn_joins_nothing_personal():
    """An exposure or a click without consent tells nothing of a user's decision; the profile stays."""
    processor, _ = run(
        [
            view(T0_MS, NAME, slots="a"),
            exposure(T0_MS + 1, NAME, decision_id="views-0-0-0", consent=NONE),
            click(T0_MS + 2, NAME, decision_id="views-0-0-0", consent=NONE),
        ]
    )
    (profile,) = processor.state.profiles
    assert (0, 0) == (profile["exposures"], profile["clicks"])
    processor.advance(T0_MS + 10**6)
    outcomes = [decode_outcome(value) for _, value in processor.output.outcomes]
    assert [("exposure", "no_decision"), ("click", "no_exposure")] == [(o.kind, o.invalid) for o in outcomes]
    assert {("", "")} == {(each.user_id, each.decision_id) for each in outcomes}
    counters = processor.state.counters
    assert (1, 1) == (counters["unmatched_exposures"], counters["unmatched_clicks"])


def test_a_forged_identity_is_no_decision():
    """To say that another's decision was nobody's joins nothing."""
    processor, _ = run(
        [view(T0_MS, NAME, slots="a"), exposure(T0_MS + 1, "thief", decision_id="views-0-0-0-nobody")]
    )
    ((_, value),) = processor.output.outcomes
    outcome = decode_outcome(value)
    assert ("no_decision", "") == (outcome.invalid, outcome.user_id)
    assert 1 == processor.state.counters["unmatched_exposures"]


def test_nobody_is_no_part_of_the_holdout():
    """Who is held out stays so without personalisation; nobody gets every arm, by the decision's identity."""
    settings = replace(SETTINGS, deciding=Deciding(holdout_share=0.5))
    held = [f"u{n}" for n in range(40) if is_held_out(user_key("main", f"u{n}"), 0.5, "headrace")]
    for consent, expected in ((ALL, {"holdout-1"}), (PROFILE, {"holdout-1"}), (NONE, {PROMOTION_POLICY})):
        events = [view(T0_MS + n, user, slots="p", consent=consent) for n, user in enumerate(held)]
        processor, _ = run(events, settings)
        decisions = [decode_decision(value) for _, value in processor.output.decisions]
        assert expected == {decision.policy for decision in decisions}
        assert (1 if consent else 3) == len({decision.chosen_id for decision in decisions})


def test_a_restart_changes_nothing_for_nobody():
    """Rows of nobody are restored, with their timers."""
    events = arrivals([*a_visit(NONE), *a_visit(ALL, "", "u1", start=20)])
    steady, restarted, changelog = new_processor(), new_processor(), []
    for arrival in events:
        steady.process([arrival])
        restarted.process([arrival])
        changelog += restarted.state.drain()
        fresh = new_processor()
        fresh.output = restarted.output
        fresh.decider.output = fresh.outcomes.output = restarted.output
        fresh.state.restore(changelog)
        fresh.restored()
        restarted = fresh
    for processor in (steady, restarted):
        processor.advance(T0_MS + DAY_MS)
    assert said(steady) == said(restarted)
