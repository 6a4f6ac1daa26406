"""``headrace bench adopt``: what a mapping costs in the decode step."""

import click
import msgspec
import orjson

from streams.bench.adoption import Plan, ShapeReport, measure
from streams.bench.foreign import SHAPES
from streams.commands.table import table

DEFAULT = Plan()
COLUMNS = (
    "shape", "bytes", "contract's", "decode us", "contract's", "whole us", "contract's", "events/s",
    "contract's",
)  # fmt: skip

EPILOG = """\b
Examples:
  headrace bench adopt
  headrace bench adopt --shape ga4 --repetitions 3
  headrace bench adopt --json | jq '.[].mapping_us_per_event'
"""


@click.command(epilog=EPILOG)
@click.option(
    "--shape", "shapes", type=click.Choice(list(SHAPES)), multiple=True, help="Only this; may be repeated."
)
@click.option(
    "--events",
    type=click.IntRange(5_000),
    default=DEFAULT.events,
    show_default=True,
    help="Foreign records of a shape.",
)
@click.option("--repetitions", type=click.IntRange(1), default=DEFAULT.repetitions, show_default=True)
@click.option("--seed", type=int, default=DEFAULT.seed, show_default=True, help="Of the records.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def adopt(shapes: tuple[str, ...], events: int, repetitions: int, seed: int, as_json: bool) -> None:
    """The decode step and the processor with a mapping, beside the same events in the contract's shape.

    Synthetic records of three foreign shapes, by the mappings that come with Headrace, in one process without
    a broker; CPU time, medians.
    """
    plan = Plan(shapes or DEFAULT.shapes, events, repetitions, seed)
    with click.progressbar(
        length=repetitions * len(plan.shapes), label="Measuring", file=click.get_text_stream("stderr")
    ) as bar:
        reports = measure(plan, lambda: bar.update(1))
    click.echo(orjson.dumps(msgspec.to_builtins(reports)) if as_json else _table(reports))


def _table(reports: dict[str, ShapeReport]) -> str:
    rows = []
    for shape, report in reports.items():
        mapped, own = report.with_mapping, report.without
        rows.append(
            (
                shape,
                f"{mapped.bytes_per_event:.0f}",
                f"{own.bytes_per_event:.0f}",
                f"{mapped.decode_us_per_event:.2f}",
                f"{own.decode_us_per_event:.2f}",
                f"{mapped.decode_and_process_us_per_event:.2f}",
                f"{own.decode_and_process_us_per_event:.2f}",
                f"{mapped.events_per_s:.0f}",
                f"{own.events_per_s:.0f}",
            )
        )
    return table(COLUMNS, rows)
