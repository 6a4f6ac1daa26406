"""``headrace bench invalid``: how many bots the rules for invalid traffic find."""

import click
import msgspec
import orjson

from streams.commands.table import table
from streams.settings import Settings
from streams.simulate.configuration import NAMES, ConfigurationError


@click.command(
    epilog="""\b
Examples:
  headrace bench invalid
  headrace bench invalid --config base --bots 0.01 --json
  headrace --set validity.max_clicks=5 bench invalid
"""
)
@click.option(
    "--config",
    "name",
    default="other",
    show_default=True,
    metavar="|".join((*NAMES, "FILE.toml")),
    help="What the shop is like.",
)
@click.option("--events", type=click.IntRange(1_000), default=200_000, show_default=True, help="Of the log.")
@click.option(
    "--bots",
    "bots_share",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of the sessions that are bots'.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def invalid(settings: Settings, name: str, events: int, bots_share: float, seed: int, as_json: bool) -> None:
    """Clicks on ads and promotions that the rules find invalid, of people and of each kind of bot.

    On the log of the synthetic shop, which knows who is a bot, under the settings of [validity].
    """
    from streams.bench.invalid import run

    with click.progressbar(length=events, label="Events", file=click.get_text_stream("stderr")) as bar:
        try:
            report = run(name, seed, events, bots_share, settings, bar.update)
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
        return
    rows = [
        [kind, found.clicks, found.invalid, f"{found.share:.4f}", ", ".join(sorted(found.reasons)) or "-"]
        for kind, found in report.by_kind.items()
    ]
    click.echo(table(["user", "clicks", "invalid", "share", "reasons"], rows))
