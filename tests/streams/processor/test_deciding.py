import math
from collections import Counter
from decimal import Decimal

import pytest
from msgspec.structs import replace
from traffic import CATALOG, SETTINGS, T0_MS, arrivals, new_processor, view

from models.placement import MILLION, POLICY, SHARES
from models.promotion import HOLDOUT_POLICY
from models.promotion import POLICY as PROMOTION_POLICY
from schemas.catalog import Ad, Promotion, Switch
from schemas.decisions import decode_decision
from streams.processor.deciding import PAUSED_POLICY
from streams.settings import Deciding

ADS = [f"ad{i}" for i in range(5)]
WITHOUT_HOLDOUT = replace(SETTINGS, deciding=Deciding(holdout_share=0.0))


def decided(events, **options):
    """The decisions that events ask for."""
    processor = new_processor(**options)
    processor.process(arrivals(events))
    return [decode_decision(value) for _, value in processor.output.take_decisions()]


def exact(number):
    """A number with as many digits as were written."""
    return Decimal(repr(number))


def visits(count, slots):
    return [view(T0_MS + i, f"u{i}", slots=slots) for i in range(count)]


def test_a_decision_is_named_by_the_place_of_its_request():
    """Topic, partition, offset and slot make the identity; the record says who asked, where and when."""
    asked = view(T0_MS, "u7", slots="ap", page="item", event_id="e7")
    placement, promotion = decided([view(T0_MS), asked])
    assert ["views-0-1-0", "views-0-1-1"] == [placement.decision_id, promotion.decision_id]
    for index, decision in enumerate((placement, promotion)):
        assert ("e7", "u7", "main", "item", T0_MS, f"slot-{index}", index + 1) == (
            decision.event_id,
            decision.user_id,
            decision.shop_id,
            decision.page,
            decision.ts_ms,
            decision.slot_id,
            decision.position,
        )


@pytest.mark.parametrize("line", [(1.0, 0.0), (1.25, -0.5)])
def test_a_placement_can_be_audited(line):
    """Propensities sum to 1, contributions to the logit, and the prediction is the logit's sigmoid."""
    for decision in decided(visits(50, "a"), weights_seed=1, line=line):
        candidates = decision.candidates
        columns = (candidates.ids, candidates.p_click, candidates.score_micros, candidates.propensity)
        assert {len(ADS) + 1} == {len(column) for column in columns}
        chosen = candidates.ids.index(decision.chosen_id)
        millionths = [round(share * MILLION) for share in candidates.propensity]
        assert [share / MILLION for share in millionths] == candidates.propensity
        assert MILLION == sum(millionths)
        assert (candidates.propensity[chosen], candidates.p_click[chosen]) == (
            decision.propensity,
            decision.p_click,
        )
        assert list(SHARES) == list(decision.contributions)
        assert sum(map(exact, decision.contributions.values())) == exact(decision.logit)
        assert abs(1.0 / (1.0 + math.exp(-decision.logit)) - decision.p_click) < 1e-9
        assert (100_000 * (int(decision.chosen_id[2:]) + 1), "c1") == (
            decision.price_micros,
            decision.campaign_id,
        )


def test_names_of_ads_are_written_as_they_are():
    """With quotes, line ends and signs of any language; also what is chosen, and what is rejected."""
    names = ['"quoted"', "back\\slash", "line\nend", "Ångström", "😀", "\u2028", "\x00"]
    ads = (Ad(name, "c1", bid_micros=100_000) for name in names)
    late = (Ad(f"over {name}", "over", bid_micros=100_000) for name in names)
    catalog = [entry for entry in CATALOG if not isinstance(entry, Ad)]
    decisions = decided(visits(300, "a"), catalog=[*catalog, *ads, *late], weights_seed=1)
    everything = sorted([*names, *(f"over {name}" for name in names)])
    assert {tuple(everything)} == {tuple(sorted(decision.candidates.ids)) for decision in decisions}
    assert set(names) == {decision.chosen_id for decision in decisions}
    late_ones = {name for name in everything if name.startswith("over")}
    assert [late_ones] * 300 == [set(decision.rejected["outside_flight"]) for decision in decisions]
    for decision in decisions:
        chosen = decision.candidates.ids.index(decision.chosen_id)
        assert decision.p_click == decision.candidates.p_click[chosen]
        assert decision.propensity == decision.candidates.propensity[chosen]


def test_an_ad_outside_its_flight_is_rejected_with_the_reason():
    """An ad that matches and may not compete is named, with propensity 0."""
    (decision,) = decided(visits(1, "a"))
    assert {"outside_flight": ["ended"]} == decision.rejected
    assert 0.0 == decision.candidates.propensity[decision.candidates.ids.index("ended")]


def test_ads_behind_the_shortlist_are_rejected_with_the_reason():
    """With room for two, the ads with the lowest value are named and have propensity 0."""
    settings = replace(SETTINGS, deciding=Deciding(shortlist=2))
    (decision,) = decided(visits(1, "a"), settings=settings)
    assert {"outside_flight": ["ended"], "outside_shortlist": ["ad0", "ad1", "ad2"]} == decision.rejected
    assert ["ad3", "ad4"] == [
        ad for ad, share in zip(decision.candidates.ids, decision.candidates.propensity, strict=True) if share
    ]


def test_tickets_follow_the_propensities():
    """Over many decisions each ad is chosen as often as its propensity says, within four standard errors."""
    decisions = decided(visits(4000, "a"))
    expected = dict(zip(decisions[0].candidates.ids, decisions[0].candidates.propensity, strict=True))
    chosen = Counter(decision.chosen_id for decision in decisions)
    for ad, share in expected.items():
        error = 4 * math.sqrt(share * (1 - share) / len(decisions))
        assert abs(chosen[ad] / len(decisions) - share) <= error, ad


def test_calibration_may_be_left_out():
    """With `deciding.calibrated` = false a prediction is what the weights say."""
    uncalibrated = replace(SETTINGS, deciding=Deciding(calibrated=False))
    for settings, bent in ((SETTINGS, True), (uncalibrated, False)):
        decisions = decided(visits(5, "a"), settings=settings, weights_seed=1, line=(1.25, -0.5))
        assert {bent} == {decision.contributions["calibration"] != 0.0 for decision in decisions}


@pytest.mark.parametrize(
    "catalog", [(), [entry for entry in CATALOG if getattr(entry, "ad_id", "ended") == "ended"]]
)
def test_without_an_ad_that_competes_nothing_is_shown(catalog):
    """``none`` is chosen for certain where no ad matches and where none is inside its flight."""
    (decision,) = decided(visits(1, "a"), catalog=catalog)
    assert ("none", 1.0, "", 0, {}) == (
        decision.chosen_id,
        decision.propensity,
        decision.campaign_id,
        decision.price_micros,
        decision.contributions,
    )
    assert not any(decision.candidates.propensity)


def test_a_promotion_is_drawn_evenly_from_none_and_all_that_run():
    """Each arm has the same propensity; promotions outside their flight are named as rejected."""
    decisions = decided(visits(3000, "p"), settings=WITHOUT_HOLDOUT)
    first = decisions[0]
    assert (["none", "p1", "p2"], [0.333334, 0.333333, 0.333333]) == (
        first.candidates.ids,
        first.candidates.propensity,
    )
    assert {"outside_flight": ["p-ended"]} == first.rejected
    assert {PROMOTION_POLICY} == {decision.policy for decision in decisions}
    chosen = Counter(decision.chosen_id for decision in decisions)
    assert all(abs(chosen[arm] / len(decisions) - 1 / 3) < 0.035 for arm in first.candidates.ids)
    assert {("none", ""), ("p1", "c1"), ("p2", "c1")} == {(d.chosen_id, d.campaign_id) for d in decisions}


def test_the_holdout_never_gets_a_promotion():
    """About the set share of users is held out, always the same, and gets ``none`` for certain."""
    settings = replace(SETTINGS, deciding=Deciding(holdout_share=0.3))
    first, again = (decided(visits(1000, slots), settings=settings) for slots in ("p", "pp"))
    held_out = {decision.user_id for decision in first if decision.policy == HOLDOUT_POLICY}
    assert held_out == {decision.user_id for decision in again if decision.policy == HOLDOUT_POLICY}
    assert {("none", 1.0)} == {(d.chosen_id, d.propensity) for d in first if d.user_id in held_out}
    assert abs(len(held_out) / 1000 - 0.3) < 0.06


def test_the_salt_draws_anew():
    """Another salt gives other draws from the same propensities."""
    one, other = (
        decided(visits(100, "a"), settings=replace(SETTINGS, deciding=Deciding(salt=salt))) for salt in "ab"
    )
    assert [d.candidates for d in one] == [d.candidates for d in other]
    assert [d.chosen_id for d in one] != [d.chosen_id for d in other]


def test_a_changed_catalogue_takes_effect_at_the_next_request():
    """An ad or promotion that is put or removed between two requests is a candidate, or none."""
    processor = new_processor(settings=WITHOUT_HOLDOUT)
    first, second = arrivals(visits(2, "ap"))
    processor.process([first])
    processor.catalog.remove("ad:main:ad0")
    processor.catalog.put(Ad("new", "c1", bid_micros=1))
    processor.catalog.put(Promotion("p3", "c1"))
    processor.process([second])
    decisions = [decode_decision(value) for _, value in processor.output.take_decisions()]
    assert [*ADS[1:], "ended", "new"] == decisions[2].candidates.ids
    assert ["none", "p1", "p2", "p3"] == decisions[3].candidates.ids


def switch(number, paused, shop_id=""):
    return Switch(f"s{number}", paused, "somebody", "because", T0_MS, shop_id)


def test_a_paused_shop_gets_an_answer_that_chooses_nothing():
    """``none`` for certain, by a policy that says so, in the record's usual form; until it is resumed."""
    processor = new_processor(weights_seed=1)
    before, during, after = arrivals(visits(3, "ap"))
    processor.process([before])
    processor.catalog.put(switch(1, True))
    processor.process([during])
    processor.catalog.put(switch(2, False))
    processor.process([after])
    decisions = [decode_decision(value) for _, value in processor.output.take_decisions()]
    assert [2, 2, 2] == [
        sum(d.event_id == one.event.event_id for d in decisions) for one in (before, during, after)
    ]
    assert [False, False, True, True, False, False] == [d.policy == PAUSED_POLICY for d in decisions]
    for decision, kind in zip(decisions[2:4], ("placement", "promotion"), strict=True):
        assert (kind, "none", 1.0, "", 0, [], {}, {}, 0.0) == (
            decision.kind, decision.chosen_id, decision.propensity, decision.campaign_id,
            decision.price_micros, decision.candidates.ids, decision.rejected, decision.contributions,
            decision.logit,
        )  # fmt: skip


def test_a_shop_is_paused_alone():
    """The others' decisions are made as ever."""
    catalog = (*CATALOG, Ad("ad0", "c1", 1, shop_id="other"), switch(1, True, "other"))
    ours, others = decided([view(T0_MS, slots="a"), view(T0_MS, slots="a", shop_id="other")], catalog=catalog)
    assert (POLICY, PAUSED_POLICY) == (ours.policy, others.policy)
    assert ("none", "ad0") == (others.chosen_id, decided([view(T0_MS, slots="a", shop_id="other")],
        catalog=catalog[:-1])[0].chosen_id)  # fmt: skip


def test_nothing_is_learned_from_a_paused_decision():
    """Nothing was shown, so its windows close without an example or an outcome."""
    processor = new_processor(catalog=(*CATALOG, switch(1, True)))
    processor.process(arrivals(visits(10, "ap")))
    processor.advance(T0_MS + 3_600_000)
    outcomes, examples, letters = processor.output.take_committed()
    assert ([], [], []) == (outcomes, examples, letters)
