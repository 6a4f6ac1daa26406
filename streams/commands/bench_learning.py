"""``headrace bench calibration``, ``drift``, ``promotion`` and ``poison``: what keeps the learners right."""

from typing import Any

import click
import msgspec
import orjson

from streams.commands.table import table

MEMORIES = 100.0, 300.0, 1000.0


@click.command(
    epilog="""\b
Examples:
  headrace bench calibration
  headrace bench calibration --examples 1000000 --json
"""
)
@click.option(
    "--examples", type=click.IntRange(10_000), default=1_000_000, show_default=True, help="Of each stream."
)
@click.option(
    "--memory",
    "memories",
    type=click.FloatRange(1.0),
    multiple=True,
    default=MEMORIES,
    show_default=True,
    help="Positives after which one counts 1/e; may be repeated.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def calibration(examples: int, memories: tuple[float, ...], seed: int, as_json: bool) -> None:
    """Calibrate predictions that are wrong in stated ways; exit 1 unless the shipped method sets them right.

    A learner on subsampled negatives, a wrong prior, slots that distort, and slots that drift; by nothing,
    Platt scaling for all and by slot, beta scaling and isotonic bins by slot.
    """
    from streams.bench.learning.calibration import run
    from streams.bench.learning.calibrators import METHODS

    with _bar(4 * len(METHODS) * len(memories), "Calibrating") as bar:
        report = run(examples, seed, memories, lambda: bar.update(1))
    columns = (
        "stream",
        "method",
        "memory",
        "log_loss",
        "ece_debiased",
        "ece_noise",
        "slot_ece_debiased",
        "slope",
    )
    _show(report, as_json, columns, report.results)
    _fail(report.failures)


@click.command(
    epilog="""\b
Examples:
  headrace bench drift
  headrace bench drift --examples 200000 --seeds 5 --json
"""
)
@click.option(
    "--examples", type=click.IntRange(2_000), default=200_000, show_default=True, help="Of each stream."
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Streams of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def drift(examples: int, seeds: int, as_json: bool) -> None:
    """What it costs to react to drift: regret of each reaction on streams that drift in known ways.

    Regret is the mean divergence from the truth, in millinats; the second figure is how much more it is than
    that of never reacting on the same streams.
    """
    from streams.bench.learning.drift import STREAMS, run

    with _bar(len(STREAMS) * seeds, "Learning") as bar:
        report = run(examples, seeds, lambda: bar.update(1))
    columns = ("stream", "alpha", "reaction", "regret", "to_never", "to_never_se", "drifts")
    _show(report, as_json, columns, report.results)
    if not as_json:
        for alpha, winner in report.winners.items():
            click.echo(f"least regret over all streams at alpha {alpha}: {winner}")


@click.command(
    epilog="""\b
Examples:
  headrace bench promotion
  headrace bench promotion --streams 100 --events 20000 --json
"""
)
@click.option(
    "--streams", type=click.IntRange(1), default=1_000, show_default=True, help="Pairs of equal learners."
)
@click.option(
    "--events", type=click.IntRange(100), default=100_000, show_default=True, help="Of each of these streams."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def promotion(streams: int, events: int, seed: int, as_json: bool) -> None:
    """Promote challengers that are no better, 1% better, and roll broken champions back.

    Exit 1 if more equals are promoted than chance allows for, or the better one or the way back is late.
    """
    from streams.bench.learning.promotion import POWER_STREAMS, run

    with _bar(streams + max(int(POWER_STREAMS * streams), 1), "Streams") as bar:
        report = run(streams, events, seed, bar.update)
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
    else:
        rows: list[list[Any]] = []
        for name, rule in report.rules.items():
            click.echo(f"{name}: {rule.false_promotions} of {streams:,} equals promoted")
            rows.append([f"1% better, by {name}", rule.better.median, rule.better.p95, rule.better.longest])
        for name, wait in report.rollback.items():
            rows.append([f"rolled back: champion {name}", wait.median, wait.p95, wait.longest])
        click.echo(table(["events until", "median", "95%", "longest"], rows))
        for name, cost_us in report.cost_us.items():
            click.echo(f"{name}: {cost_us:.2f} us an example")
        search = report.search
        click.echo(
            f"search from alpha {search.alpha_start:g}: {search.promotions} promotions, ends at "
            f"{search.alpha_end:g}; log loss {search.log_loss:.4f}, without it {search.log_loss_start:.4f}"
        )
    _fail(report.failures)


@click.command(
    epilog="""\b
Examples:
  headrace bench poison
  headrace bench poison --distinct 1000000 --json
"""
)
@click.option(
    "--good", type=click.IntRange(30_000), default=40_000, show_default=True, help="Good examples before."
)
@click.option(
    "--distinct",
    type=click.IntRange(1_000),
    default=1_000_000,
    show_default=True,
    help="Distinct values of the field that has too many.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def poison(good: int, distinct: int, seed: int, as_json: bool) -> None:
    """Poison the learner's examples; exit 1 unless it stays finite and flat and the gate closes and opens.

    Weights that are no numbers, a million distinct values, contradictory labels, a field that goes missing,
    no positives, weights of a million either way, on which no gate closes; what the good examples afterwards
    cost, with the gate, without, and without the poison. Finite are champion, challengers and the shifts of
    ads, of which the largest must keep to its bound.
    """
    try:
        from streams.bench.learning.poison import KINDS, run
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The benchmark needs {error.name}: pip install 'headrace[bench]'"
        ) from None

    with _bar(len(KINDS), "Poisons") as bar:
        report = run(good, distinct, seed, lambda: bar.update(1))
    columns = (
        "poison", "examples", "reason", "closed_after", "opened_after", "log_loss", "log_loss_ungated",
        "log_loss_clean", "largest_shift", "rss_growth_bytes",
    )  # fmt: skip
    _show(report, as_json, columns, report.kinds)
    _fail(report.failures)


def _bar(length: int, label: str) -> Any:
    return click.progressbar(length=length, label=label, file=click.get_text_stream("stderr"))


def _show(report: msgspec.Struct, as_json: bool, columns: tuple[str, ...], rows: list[Any]) -> None:
    """The whole report as JSON, or these columns of its rows as a table."""
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report)))
        return
    cells = [[_rounded(getattr(row, column)) for column in columns] for row in rows]
    click.echo(table(columns, cells))


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _fail(failures: list[str]) -> None:
    if failures:
        raise click.ClickException("; ".join(failures))
