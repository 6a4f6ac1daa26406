"""Events that keep the contract and are invalid traffic, or copies: rules find what no decoder can refuse."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from msgspec.json import encode

from schemas.events import Click, Event, Exposure, Slot, View
from schemas.topics import INPUTS
from streams.processor.arrival import Arrival
from streams.settings import Validity

AGO_MS = 6_000
"""How long before the good event beside it a forgery begins: its times must not move the stream time on."""
TOO_SOON_MS, SOON_ENOUGH_MS, TOO_EARLY_MS = 20, 1_500, 2_500
"""Of clicks, measured from the exposure; the last one before it."""
NEVER = "views-0-999999999999-0"


class Scene(NamedTuple):
    """Where a forgery takes place."""

    user_id: str
    """Nobody else's."""
    name: str
    """Begins the ids of its events."""
    anothers: str
    """A decision that was made for another user."""
    own: str
    """The decision that the first event of the forgery asks for, if it is a page view."""


Make = Callable[[Scene, int], Event]
"""Makes an event of a scene and the time at which the forgery begins, in milliseconds."""


class Forgery(NamedTuple):
    """Events that belong together, and what counters must say of them."""

    name: str
    events: Sequence[Make]
    counted: dict[str, int]
    """By counter of ``streams.state.rows.COUNTERS``, how many more it shows."""


def forgeries(rules: Validity) -> list[Forgery]:
    """One of each kind, so that ``rules`` find it."""
    many = 2 * rules.max_clicks + 1
    step_ms = max(1, int(rules.window_s * 1000) // (4 * many))
    burst = [_click(SOON_ENOUGH_MS + n * step_ms, number=n) for n in range(many)]
    return [
        Forgery("exposure of a decision that was never made", [_echo(NEVER)], {"invalid_no_decision": 1}),
        Forgery("exposure of what is no decision's name", [_echo("forged")], {"invalid_no_decision": 1}),
        Forgery(
            "exposure of another user's decision, and a click on it",
            [_echo_anothers, _click_anothers],
            {"invalid_no_decision": 1, "invalid_no_exposure": 1},
        ),
        Forgery("click on nothing", [_click(0)], {"invalid_no_exposure": 1}),
        Forgery(
            "click sooner than a person can",
            [_shown(), _click(TOO_SOON_MS)],
            {"invalid_impossible_timing": 1},
        ),
        Forgery(
            "click well before its exposure",
            [_shown(), _click(-TOO_EARLY_MS)],
            {"invalid_impossible_timing": 1},
        ),
        Forgery(
            "clicks at an inhuman rate", [*(_shown(n) for n in range(many)), *burst], {"invalid_rate": many}
        ),
        Forgery(
            "clicks at an inhuman rate, before what they click",
            [*burst, *(_shown(n) for n in range(many))],
            {"invalid_rate": many},
        ),
        Forgery(
            "clicks on one ad again and again",
            [_shown(), *(_click(SOON_ENOUGH_MS + n * step_ms, again=n) for n in range(many))],
            {"invalid_rate": many},
        ),
        Forgery(
            "double click",
            [_shown(), _click(SOON_ENOUGH_MS), _click(SOON_ENOUGH_MS + 200, again=1)],
            {"invalid_repeated": 1},
        ),
        Forgery(
            "exposure of one decision twice", [_view, _echo_own(0), _echo_own(1)], {"invalid_repeated": 1}
        ),
        Forgery("the same event twice", [_shown(), _shown()], {"duplicates": 1}),
    ]


def with_forgeries(good: Sequence[Arrival], forged: Sequence[Forgery], random: Random) -> Iterator[Arrival]:
    """Good events with each forgery in a piece at a random place between them, by a user of its own.

    Each takes place in the seconds before the good event that it follows.
    """
    asked = [place for place, each in enumerate(good) if isinstance(each.event, View) and each.event.slots]
    if not asked:
        raise ValueError("Expected a good page view that asks for a decision, got none")
    after: dict[int, list[tuple[int, Forgery]]] = {}
    for number, forgery in enumerate(forged):
        after.setdefault(random.randrange(asked[0], len(good)), []).append((number, forgery))
    ends, anothers = [1] * len(INPUTS), ""
    for place, arrival in enumerate(good):
        yield arrival
        ends[arrival.topic] = arrival.offset + 1
        if isinstance(arrival.event, View) and arrival.event.slots:
            anothers = f"views-0-{arrival.offset}-0"
        for number, forgery in after.get(place, ()):
            event_ms = arrival.event.ts_ms if arrival.event else arrival.ts_ms
            scene = Scene(f"forger-{number}", f"f{number}", anothers, f"views-0-{ends[0]}-0")
            for make in forgery.events:
                event = make(scene, event_ms - AGO_MS)
                topic = 1 if isinstance(event, Click) else 0
                yield Arrival(topic, 0, ends[topic], arrival.ts_ms, encode(event), event)
                ends[topic] += 1


def counted(forged: Sequence[Forgery]) -> dict[str, int]:
    """What counters must say of all of these."""
    sums: Counter[str] = Counter()
    for forgery in forged:
        sums.update(forgery.counted)
    return dict(sums)


def _view(scene: Scene, begins_ms: int) -> Event:
    return View(f"{scene.name}-view", scene.user_id, begins_ms, "home", slots=(Slot("top"),))


def _echo_anothers(scene: Scene, begins_ms: int) -> Event:
    return _echo(scene.anothers)(scene, begins_ms)


def _click_anothers(scene: Scene, begins_ms: int) -> Event:
    ts_ms = begins_ms + SOON_ENOUGH_MS
    return Click(f"{scene.name}-click", scene.user_id, ts_ms, "ad", decision_id=scene.anothers, ad_id="a1")


def _echo(decision_id: str) -> Make:
    def make(scene: Scene, begins_ms: int) -> Event:
        name = f"{scene.name}-echo"
        return Exposure(name, scene.user_id, begins_ms, decision_id=decision_id, ad_id="a1")

    return make


def _echo_own(number: int) -> Make:
    def make(scene: Scene, begins_ms: int) -> Event:
        name = f"{scene.name}-echo-{number}"
        return Exposure(name, scene.user_id, begins_ms, decision_id=scene.own, ad_id="a1")

    return make


def _shown(number: int = 0) -> Make:
    """Another system's choice is shown."""

    def make(scene: Scene, begins_ms: int) -> Event:
        name = f"{scene.name}-shown-{number}"
        return Exposure(name, scene.user_id, begins_ms, ad_id="a1", propensity=0.5)

    return make


def _click(after_ms: int, number: int = 0, again: int = 0) -> Make:
    """A click on what ``_shown`` shows, so long after it."""

    def make(scene: Scene, begins_ms: int) -> Event:
        name, exposure_id = f"{scene.name}-click-{number}-{again}", f"{scene.name}-shown-{number}"
        return Click(name, scene.user_id, begins_ms + after_ms, "ad", exposure_id=exposure_id, ad_id="a1")

    return make
