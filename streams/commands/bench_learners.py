"""``headrace bench learners``, ``quality`` and ``truth``: our learners beside River and Vowpal Wabbit."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import orjson

from streams.commands.table import table
from streams.simulate.configuration import NAMES, ConfigurationError

if TYPE_CHECKING:
    from streams.bench.learner_speed import Report as SpeedReport
    from streams.bench.quality import Report as QualityReport
    from streams.bench.scores import Interval
    from streams.bench.truth import Report as TruthReport

LOGS = ("criteo", "talkingdata")


@click.command(
    epilog="""\b
Examples:
  headrace bench learners
  headrace bench learners --examples 10000 --repetitions 3
  headrace bench learners --json | jq .river_ftrl_to_ftrl
"""
)
@click.option(
    "--examples", type=click.IntRange(4_000), default=40_000, show_default=True, help="Of the fastest; "
    "slow learners get a share.",
)  # fmt: skip
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the examples.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def learners(examples: int, repetitions: int, seed: int, as_json: bool) -> None:
    """Microseconds to predict and learn one hashed example, at 16 and 39 features.

    Ours by their batch API and by dictionaries; River's logistic regression by SGD and by FTRL; Vowpal
    Wabbit through its Python package, with the prediction read from learning and, as a server would,
    predicting first. All learn the same examples in turn; medians.
    """
    from streams.bench.learner_speed import FEATURES, contestants, measure

    runs = repetitions * len(FEATURES) * len(list(contestants()))
    with _progress(runs) as bar:
        report = _with_extras(lambda: measure(examples, repetitions, seed, lambda: bar.update(1)))
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _speed_table(report))


@click.command(
    epilog="""\b
Examples:
  headrace bench quality --data ~/data
  headrace bench quality --data ~/data --log talkingdata
  headrace bench quality --data ~/data --json | jq '.logs.criteo.scores.ftrl'
"""
)
@click.option(
    "--data", "directory", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="Has `criteo_8k` and `talkingdata_100k`; their licences forbid that they come along.",
)  # fmt: skip
@click.option("--log", "logs", type=click.Choice(LOGS), multiple=True, help="Only this log; may be repeated.")
@click.option(
    "--orders", type=click.IntRange(2), default=20, show_default=True, help="Random orders of criteo."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of orders and bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def quality(directory: Path, logs: tuple[str, ...], orders: int, seed: int, as_json: bool) -> None:
    """Log loss, relative information gain and AUC on public logs, each example predicted, then learned.

    The same features and crosses for all learners, as they are shipped. FTRL comes once more, ours and the
    references', with settings that were chosen on the first half of talkingdata, of which the second half is
    scored. Differences are paired, with 95% intervals.
    """
    from streams.bench.public_logs import LogError
    from streams.bench.quality import run, steps

    chosen = logs or LOGS
    with _progress(steps(chosen, orders)) as bar:
        try:
            report = _with_extras(lambda: run(directory, chosen, orders, seed, lambda: bar.update(1)))
        except LogError as error:
            raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _quality_tables(report))


@click.command(
    epilog="""\b
Examples:
  headrace bench truth
  headrace bench truth --config other --exposures 200000 --json
"""
)
@click.option(
    "--config", "name", default="base", show_default=True, metavar="|".join((*NAMES, "FILE.toml")),
    help="What the shop is like.",
)  # fmt: skip
@click.option("--exposures", type=click.IntRange(2_000), default=2_000_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the shop.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def truth(name: str, exposures: int, seed: int, as_json: bool) -> None:
    """How far click predictions are from the true probabilities of the synthetic shop.

    Mean Kullback-Leibler divergence, progressive, of our learners and of River and Vowpal Wabbit, with the
    same features and crosses; Vowpal Wabbit also with every cross of two features.
    """
    from streams.bench.truth import contestants, run

    with _progress(len(list(contestants()))) as bar:
        try:
            report = _with_extras(lambda: run(name, seed, exposures, lambda: bar.update(1)))
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _truth_table(report))


def _with_extras(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The benchmark needs {error.name}: pip install 'headrace[bench]'"
        ) from None


def _progress(length: int) -> Any:
    return click.progressbar(length=length, label="Measuring", file=click.get_text_stream("stderr"))


def _speed_table(report: "SpeedReport") -> str:
    names = list(next(iter(report.costs.values())))
    columns = ["learner"]
    for features in report.costs:
        columns += [f"us at {features} features", "lowest", "highest"]
    rows = [
        [
            name,
            *(
                f"{us:.2f}"
                for by_name in report.costs.values()
                for us in (by_name[name].median_us, by_name[name].low_us, by_name[name].high_us)
            ),
        ]
        for name in names
    ]
    lines = [table(columns, rows)]
    for label, ratios in (
        ("River's FTRL / ours", report.river_ftrl_to_ftrl),
        ("Vowpal Wabbit / our FTRL", report.vw_ftrl_to_ftrl),
        ("Vowpal Wabbit, predict first / our FTRL", report.vw_ftrl_predict_first_to_ftrl),
    ):
        lines.append(f"{label}: " + ", ".join(f"{ratio:.1f} at {at}" for at, ratio in ratios.items()))
    return "\n".join([*lines, _versions(report.versions)])


def _quality_tables(report: "QualityReport") -> str:
    lines = []
    for name, log in report.logs.items():
        orders = "in order of time" if log.orders == 1 else f"{log.orders} orders"
        use = log.bucket_use
        lines += [
            f"{name}: {log.examples:,} examples, {log.positives:,} positive, {log.features} features, "
            f"{orders}; {log.interval}",
            table(
                ("learner", "log loss", "low", "high", "RIG", "AUC", "minus best reference", "low", "high"),
                [
                    (
                        learner,
                        *_digits(score.log_loss, 5),
                        f"{score.relative_information_gain:.4f}",
                        f"{score.auc:.4f}",
                        *(_digits(score.minus_best_reference, 5) if score.minus_best_reference else "---"),
                    )
                    for learner, score in log.scores.items()
                ],
            ),
            f"best reference: {log.best_reference}",
            f"{use.features:,} features in {use.used:,} of {use.buckets:,} buckets; {use.collided:,} share "
            f"one ({use.collided_share:.1%} of occurrences)",
            "",
        ]
    if report.chosen is not None:
        settings = msgspec.structs.asdict(report.chosen)
        lines.append("chosen settings: " + ", ".join(f"{name} {value}" for name, value in settings.items()))
    return "\n".join([*lines, _versions(report.versions)])


def _truth_table(report: "TruthReport") -> str:
    rows = [
        (
            learner,
            *_digits(score.divergence, 6),
            *_digits(score.divergence_half, 6),
            f"{score.log_loss:.5f}",
            f"{score.log_loss_half:.5f}",
        )
        for learner, score in report.scores.items()
    ]
    columns = (
        "learner", "KL", "low", "high", "second half", "low", "high", "log loss", "second half",
    )  # fmt: skip
    return "\n".join(
        [
            f"{report.configuration}, seed {report.seed}: {report.exposures:,} exposures, {report.clicks:,} "
            f"clicks, {report.features} features",
            table(columns, rows),
            f"second half: {report.rate_divergence_half:.6f} for the rate alone, log loss of the truth "
            f"{report.entropy_half:.5f}",
            f"{report.best_of_ours} / River's best: {report.best_to_river_half:.2f}; "
            f"/ Vowpal Wabbit's best: {report.best_to_vw_half:.2f}",
            _versions(report.versions),
        ]
    )


def _digits(interval: "Interval", digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in (interval.mean, interval.low, interval.high)]


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
