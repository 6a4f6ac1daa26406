"""``headrace bench simulate``: how fast the synthetic shop feeds others."""

import click
import msgspec
import orjson

from streams.simulate.configuration import NAMES, ConfigurationError


@click.command(
    epilog="""\b
Examples:
  headrace bench simulate
  headrace bench simulate --exposures 2000000 --json
"""
)
@click.option(
    "--exposures", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="As arrays."
)
@click.option(
    "--events", type=click.IntRange(1_000), default=200_000, show_default=True, help="As structs and lines."
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
def simulate(exposures: int, events: int, name: str, seed: int, as_json: bool) -> None:
    """Exposures and events per second that the synthetic shop makes, in wall time and CPU time."""
    from streams.bench.simulation import run

    with click.progressbar(length=3, label="Measuring", file=click.get_text_stream("stderr")) as bar:
        try:
            report = run(name, seed, exposures, events, lambda: bar.update(1))
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
        return
    for label, wall, cpu in (
        ("exposures as arrays, with their truth", report.exposures_per_s, report.exposures_per_cpu_s),
        ("events as structs", report.events_per_s, report.events_per_cpu_s),
        ("events written and validated", report.written_events_per_s, report.written_events_per_cpu_s),
    ):
        click.echo(f"{label}: {wall:,.0f}/s, {cpu:,.0f} a CPU second")
