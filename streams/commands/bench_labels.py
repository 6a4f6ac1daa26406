"""``headrace bench delays`` and ``cold-start``: what is learned of late conversions, and of new ads."""

import click
import msgspec
import orjson

from streams.commands.table import table
from streams.simulate.configuration import NAMES, ConfigurationError

LAWS = ("mean-6h", "mean-1d", "heavy-tail")
COLUMNS = ("delays", "method", "ratio", "worst day", "new ads", "excess log loss")


@click.command(
    epilog="""\b
Examples:
  headrace bench delays
  headrace bench delays --stream sale --law heavy-tail
  headrace bench delays --json | jq '.laws[].shipped.judged.ratio'
"""
)
@click.option("--law", "laws", type=click.Choice(LAWS), multiple=True, help="Only this; may be repeated.")
@click.option(
    "--stream",
    type=click.Choice(["steady", "sale"]),
    default="steady",
    show_default=True,
    help="In the sale twice as many click from day 14 on, and buy more readily.",
)
@click.option(
    "--clicks-per-day", type=click.IntRange(1_000), default=100_000, show_default=True, help="Of the stream."
)
@click.option(
    "--config",
    "name",
    default="base",
    show_default=True,
    metavar="|".join((*NAMES, "FILE.toml")),
    help="What the shop is like.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def delays(
    laws: tuple[str, ...], stream: str, clicks_per_day: int, name: str, seed: int, as_json: bool
) -> None:
    """Predicted conversions by what became of the clicks, for each way of learning late labels.

    18 days of the synthetic shop; judged are the predictions made at the clicks of the last four. A
    ratio is the mean prediction by the mean final label; excess log loss is what the true
    probabilities would save, in 1e-4 nats a click.
    """
    from streams.bench.delays import METHODS, Plan, Report, run

    def _table(report: Report) -> str:
        rows = [
            (
                law,
                method,
                f"{found.judged.ratio:.3f}",
                f"{found.worst_ratio:.3f}",
                f"{found.launched.ratio:.3f}",
                f"{1e4 * found.log_loss_excess:.1f}",
            )
            for law, methods in report.laws.items()
            for method, found in methods.items()
        ]
        return table(COLUMNS, rows)

    plan = Plan(laws or LAWS, stream, name, clicks_per_day, seed=seed)
    with click.progressbar(
        length=len(plan.laws) * len(METHODS), label="Learning", file=click.get_text_stream("stderr")
    ) as bar:
        try:
            report = run(plan, lambda: bar.update(1))
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
    # Days are numbers, which JSON's keys cannot be.
    click.echo(orjson.dumps(msgspec.to_builtins(report, str_keys=True)) if as_json else _table(report))


@click.command(
    "cold-start",
    epilog="""\b
Examples:
  headrace bench cold-start
  headrace bench cold-start --config other --exposures 400000
  headrace bench cold-start --json | jq '.methods | map_values(.error_by_exposures)'
""",
)
@click.option(
    "--exposures", type=click.IntRange(10_000), default=800_000, show_default=True, help="Of a seed's log."
)
@click.option(
    "--config",
    "name",
    default="base",
    show_default=True,
    metavar="|".join((*NAMES, "FILE.toml")),
    help="What the shop is like.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Shops that are drawn."
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def cold_start(exposures: int, name: str, seeds: int, as_json: bool) -> None:
    """How wrong the click probabilities of new ads are in their first exposures, by way of learning.

    The synthetic shop, a quarter of whose ads starts in the middle of its log. Errors are logs of mean
    prediction by mean true probability, root mean square over the ads, by exposures of the ad; excess
    log loss is the divergence from the true probabilities, in 1e-4 nats an exposure.
    """
    from streams.bench.cold_start import METHODS, Plan, run

    plan = Plan(name, exposures, tuple(range(1, seeds + 1)))
    with click.progressbar(
        length=seeds * len(METHODS), label="Learning", file=click.get_text_stream("stderr")
    ) as bar:
        try:
            report = run(plan, lambda: bar.update(1))
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
        return
    columns = ("method", *next(iter(report.methods.values())).error_by_exposures, "excess new", "excess old")
    rows = [
        (
            method,
            *(f"{error:.3f}" for error in errors.error_by_exposures.values()),
            f"{1e4 * errors.excess_log_loss_new:.1f}",
            f"{1e4 * errors.excess_log_loss_old:.1f}",
        )
        for method, errors in report.methods.items()
    ]
    click.echo(table(columns, rows))
