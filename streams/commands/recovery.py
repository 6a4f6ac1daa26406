"""``headrace bench recovery`` and ``bench memory``: what state costs when it comes back and when it grows."""

import shutil
from pathlib import Path

import click
import msgspec
import orjson

from streams.embedded.process import ProcessError


@click.command(
    epilog="""\b
Examples:
  headrace bench recovery
  headrace bench recovery --profiles 200000 --json
"""
)
@click.option(
    "--profiles", type=click.IntRange(8_000), default=1_000_000, show_default=True, help="To restore."
)
@click.option(
    "--plain-faust-rows", type=click.IntRange(1_000), default=100_000, show_default=True,
    help="For plain Faust, which is slow.",
)  # fmt: skip
@click.option("--embedded", is_flag=True, help="On the embedded broker even where Java is present.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the events.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def recovery(profiles: int, plain_faust_rows: int, embedded: bool, seed: int, as_json: bool) -> None:
    """Profiles restored per second, their memory, and how soon another worker takes over after `kill -9`."""
    from streams.bench.recovery.report import RecoveryError, run
    from streams.bench.recovery.takeover import TakeoverError

    profiles -= profiles % 8
    with click.progressbar(
        length=profiles + plain_faust_rows, label="Writing", file=click.get_text_stream("stderr")
    ) as bar:
        try:
            report = run(
                profiles, plain_faust_rows, embedded or shutil.which("java") is None, seed, bar.update
            )
        except (RecoveryError, TakeoverError, ProcessError) as error:
            raise click.ClickException(str(error)) from None
    figures = msgspec.to_builtins(report)
    if as_json:
        click.echo(orjson.dumps(figures))
    else:
        for name, value in {**figures, **figures.pop("takeover")}.items():
            click.echo(f"{name}: {value}")


@click.command(
    epilog="""\b
Examples:
  headrace bench memory --json
  headrace bench memory --users 1000000 --cap 100000 --picture memory.svg
"""
)
@click.option(
    "--users",
    type=click.IntRange(100_000),
    default=10_000_000,
    show_default=True,
    help="Distinct users to see.",
)
@click.option(
    "--cap",
    type=click.IntRange(8_000),
    default=1_000_000,
    show_default=True,
    help="Profiles that may be kept.",
)
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw memory over users as SVG."
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def memory(users: int, cap: int, picture: Path | None, as_json: bool) -> None:
    """Resident memory of one worker's processors while far more users come than may be remembered."""
    from streams.bench import memory as bench

    with click.progressbar(length=users, label="Users", file=click.get_text_stream("stderr")) as bar:
        report = bench.run(users, cap, bar.update)
    if picture is not None:
        picture.write_text(bench.picture(report))
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
        return
    for sample in report.samples[:: max(1, len(report.samples) // 20)]:
        click.echo(f"{sample.users:>12,} users {sample.profiles:>10,} kept {sample.rss_bytes / 1e6:>8.0f} MB")
    click.echo(
        f"highest {report.rss_at_cap_bytes / 1e6:.0f} MB until {bench.SETTLED:g} times the cap, "
        f"{report.highest_rss_after_bytes / 1e6:.0f} MB after it"
    )
