"""Clicks under strict rules, and what comes of them."""

from collections import Counter

from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor

from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.settings import Validity

LATENESS_MS, CLICK_MS, WINDOW_MS = 10_000, 30_000, 4000
PANE_MS, FINAL_MS = WINDOW_MS // 2, LATENESS_MS + WINDOW_MS
MAX_CLICKS, MIN_DELAY_MS, TOLERANCE_MS = 3, 100, 1000
END_MS = T0_MS + 10**6
STRICT = replace(
    SETTINGS,
    validity=Validity(
        min_click_delay_ms=MIN_DELAY_MS,
        clock_tolerance_ms=TOLERANCE_MS,
        max_clicks=MAX_CLICKS,
        window_s=WINDOW_MS / 1000,
    ),
)
ECHO = {"decision_id": "views-0-0-0"}


def judged(*events, settings=STRICT, end_ms=END_MS):
    """A processor after these events, with all verdicts given; its outcomes and its examples."""
    processor = new_processor(settings)
    processor.process(arrivals(events))
    processor.advance(end_ms)
    return processor, *taken(processor)


def taken(processor):
    outcomes, examples, _ = processor.output.take_committed()
    return [decode_outcome(value) for _, value in outcomes], [decode_example(value) for _, value in examples]


def told(outcomes):
    """Kind and offset of each outcome, and why it is invalid."""
    return [(o.kind, int(o.outcome_id.split("-")[-1]), o.invalid) for o in outcomes]


def labels(examples):
    """By task, partition and offset of what was labelled: label by label the sum of weights that is left."""
    sums = Counter()
    for example in examples:
        sums["-".join(example.example_id.split("-")[:3]), example.label] += example.weight
    return {key: weight for key, weight in sums.items() if weight}


def label_changes(turns):
    """Examples of the conversions: the first order of a click gives the label, the last refund takes it."""
    orders = Counter()
    for _, _, number, change, example_id in sorted(turns):
        before = orders[number]
        orders[number] += change
        if 0 in (before, orders[number]):
            yield example_id, change


def shown(number, after_ms=0, user_id="u1"):
    """Another system's exposure, ``x<number>``."""
    return exposure(T0_MS + after_ms, user_id, event_id=f"x{number}", propensity=0.5)


def clicks(count, every_ms=300, first_ms=1000, user_id="u1", **fields):
    """So many clicks, each on an exposure of its own unless fields name one."""
    return [
        click(T0_MS + first_ms + n * every_ms, user_id, **({"exposure_id": f"x{n}"} | fields))
        for n in range(count)
    ]
