"""``headrace bench broken``: what broken input comes to."""

import click
import msgspec
import orjson


@click.command(
    epilog="""\b
Examples:
  headrace bench broken
  headrace bench broken --fuzzed 1000000 --json
"""
)
@click.option(
    "--fuzzed",
    type=click.IntRange(0),
    default=1_000_000,
    show_default=True,
    help="Records with random changes.",
)
@click.option(
    "--events", type=click.IntRange(1_000), default=20_000, show_default=True, help="Good events among them."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def broken(fuzzed: int, events: int, seed: int, as_json: bool) -> None:
    """Mix broken records and invalid traffic into good events; exit 1 unless nothing else changes.

    Every known kind of broken record once, and fuzzed ones, through the decoder and the processor: each must
    be a dead letter. Forged exposures and bots' clicks: each must be counted by the rule for it. What the
    good events lead to is held against a run without the others.
    """
    from streams.bench.broken.run import run

    with click.progressbar(
        length=fuzzed + 3 * events, label="Records", file=click.get_text_stream("stderr")
    ) as bar:
        report = run(fuzzed, seed, events, bar.update)
    figures = msgspec.to_builtins(report)
    if as_json:
        click.echo(orjson.dumps(figures))
    else:
        rules = figures.pop("by_rule")
        click.echo("\n".join(f"{name}: {value:,}" for name, value in [*figures.items(), *rules.items()]))
    if not report.passed:
        raise click.ClickException("what is broken or invalid was lost or had an effect: see the report")
