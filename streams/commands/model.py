"""``headrace model``: what the models have learned."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
import orjson
from aiokafka.errors import KafkaError

from models.delays import FIRST_S
from models.importance import importance
from models.naming import names
from models.published import (
    Change,
    Published,
    PublishedError,
    TaskModel,
    at_version,
    difference,
    from_bytes,
    to_json,
    to_npz,
)
from schemas.model import Contest, Progress
from streams.commands.reachable import reachable
from streams.commands.table import table, utc
from streams.delivery.restore import MissingTopicError
from streams.model_log import ModelLog, read
from streams.settings import Settings

NEWEST = "newest"
UNNAMED = "(no name)"
WRITERS = {".json": to_json, ".npz": to_npz}

SHOW_EPILOG = """\b
Examples:
  headrace model show
  headrace model show --top 50 --examples 100000
  headrace model show yesterday.npz --json | jq '.tasks.ctr.largest[:3]'
"""
DIFF_EPILOG = """\b
Examples:
  headrace model diff yesterday.json newest
  headrace model diff 41200 41950 --top 5
  headrace model diff before.npz after.npz --json
"""
EXPORT_EPILOG = """\b
Examples:
  headrace model export model.json
  headrace model export model.npz --version 41200
"""

json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
top_option = click.option(
    "--top", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Weights that are shown."
)


class Named(NamedTuple):
    """A weight, and what its bucket means."""

    bucket: int
    feature: str
    weight: float


@click.group()
def model() -> None:
    """Show, compare and export the weights that are published on the topic `model`."""


@model.command(epilog=SHOW_EPILOG)
@click.argument("source", default=NEWEST)
@top_option
@click.option(
    "--examples",
    type=click.IntRange(0, 10_000_000),
    default=10_000,
    show_default=True,
    help="Newest examples, on which it is told how much each feature matters.",
)
@json_option
@click.pass_obj
def show(settings: Settings, source: str, top: int, examples: int, as_json: bool) -> None:
    """Show version, settings, progress, what matters, and the largest weights of a model.

    SOURCE is `newest`, a version, or a file of `headrace model export`; a file is shown without a broker,
    and then features have no names and nothing tells how much they matter.
    """
    log = None if _is_file(source) else _log(settings, examples)
    published = _published(source, log)
    called = _names(published, log)
    report = {
        "version": published.version,
        "tasks": {name: _described(name, task, log, called, top) for name, task in published.tasks.items()},
        "progress": [_progress(each) for each in published.progress],
        "delay_shares": published.delay_shares,
        "contests": {each.task: _contest(each) for each in published.contests},
    }
    click.echo(orjson.dumps(report) if as_json else "\n".join(_page(report)))


@model.command(epilog=DIFF_EPILOG)
@click.argument("old")
@click.argument("new", default=NEWEST)
@top_option
@json_option
@click.pass_obj
def diff(settings: Settings, old: str, new: str, top: int, as_json: bool) -> None:
    """Show what has changed from one model to another.

    OLD and NEW are `newest`, a version, or a file of `headrace model export`.
    """
    log = None if _is_file(old) and _is_file(new) else _log(settings, 0)
    before, after = _published(old, log), _published(new, log)
    called = _names(after, log)
    changes = {}
    for name in sorted(before.tasks.keys() & after.tasks.keys()):
        try:
            changes[name] = difference(before.tasks[name], after.tasks[name], top)
        except PublishedError as error:
            raise click.ClickException(f"{name}: {error}") from None
    if as_json:
        tasks = {name: _change(change, called) for name, change in changes.items()}
        click.echo(orjson.dumps({"old": before.version, "new": after.version, "tasks": tasks}))
        return
    click.echo(f"From version {before.version} to {after.version}")
    for name, change in changes.items():
        click.echo("\n".join(_changed(name, _change(change, called))))


@model.command(epilog=EXPORT_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--version", "wanted", type=click.IntRange(0), help="Of the topic; default: the newest.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
@click.pass_obj
def export(settings: Settings, file: Path, wanted: int | None, force: bool, as_json: bool) -> None:
    """Write a version of the models to FILE, which ends with .json or .npz.

    Both hold settings, the buckets that were ever learned with z, n and weight, progress, and the law of
    delays; neither can hold code.
    """
    writer = WRITERS.get(file.suffix)
    if writer is None:
        raise click.UsageError(f"FILE: expected a name that ends with .json or .npz, got `{file.name}`")
    if file.exists() and not force:
        raise click.ClickException(f"{file} is there: give another name, or --force")
    published = _published(NEWEST if wanted is None else str(wanted), _log(settings, 0))
    try:
        file.write_bytes(writer(published))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    counts = {name: int(task.buckets.size) for name, task in published.tasks.items()}
    if as_json:
        click.echo(orjson.dumps({"file": str(file), "version": published.version, "buckets": counts}))
        return
    told = ", ".join(f"{count} buckets of {name}" for name, count in counts.items())
    click.echo(f"Version {published.version} in {file}: {told}")


def _is_file(source: str) -> bool:
    return source != NEWEST and not source.isdecimal()


def _log(settings: Settings, examples: int) -> ModelLog:
    # It logs every attempt to reach the broker; the command says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with reachable(settings) as kafka:
        try:
            return asyncio.run(read(kafka, examples))
        except MissingTopicError as error:
            raise click.ClickException(str(error)) from None
        except msgspec.DecodeError as error:
            raise click.ClickException(
                f"A record of `model`, `catalog` or `examples` cannot be read: {error}"
            ) from None
        except (KafkaError, TimeoutError) as error:
            raise click.ClickException(
                f"No Kafka broker answered at {kafka.bootstrap_servers} ({type(error).__name__}): start one, "
                "run `headrace demo --serve`, or set kafka.bootstrap_servers"
            ) from None


def _published(source: str, log: ModelLog | None) -> Published:
    try:
        if _is_file(source):
            return from_bytes(Path(source).read_bytes())
        assert log is not None
        return at_version(log.records, None if source == NEWEST else int(source))
    except OSError as error:
        raise click.UsageError(
            f"Expected `{NEWEST}`, a version or a file of `headrace model export`, got `{source}` "
            f"({error.strerror})"
        ) from None
    except PublishedError as error:
        raise click.ClickException(f"{source}: {error}") from None


def _names(published: Published, log: ModelLog | None) -> dict[int, list[str]]:
    if log is None or not published.tasks:
        return {}
    bits = {int(task.settings["bits"]) for task in published.tasks.values()}
    return names(log.entries, bits.pop()) if len(bits) == 1 else {}


def _called(bucket: int, called: dict[int, list[str]]) -> str:
    return " or ".join(called.get(bucket, [UNNAMED]))


def _described(
    name: str, task: TaskModel, log: ModelLog | None, called: dict[int, list[str]], top: int
) -> dict[str, Any]:
    weights = task.weights()
    order = np.argsort(-np.abs(weights), kind="stable")[:top]
    rows = [example.buckets for example in log.examples if example.task == name] if log else []
    groups, features = importance(task.table(), rows)
    largest = [
        Named(int(task.buckets[i]), _called(int(task.buckets[i]), called), float(weights[i])) for i in order
    ]
    return {
        "settings": task.settings,
        "buckets": int(task.buckets.size),
        "non_zero": int(np.count_nonzero(weights)),
        "examples": len(rows),
        "groups": msgspec.to_builtins(groups),
        "features": msgspec.to_builtins(features),
        "largest": [each._asdict() for each in largest],
    }


def _progress(progress: Progress) -> dict[str, Any]:
    kept = (
        "task",
        "model",
        "ts_ms",
        "examples",
        "positives",
        "log_loss",
        "auc",
        "calibration",
        "scored_share",
    )
    return {name: getattr(progress, name) for name in kept}


def _contest(contest: Contest) -> list[dict[str, Any]]:
    roles = {contest.predecessor: "champion before", contest.champion: "champion"}
    return [
        {"member": place, "role": roles.get(place, "challenger"), **msgspec.to_builtins(member)}
        for place, member in enumerate(contest.members)
    ]


def _page(report: dict[str, Any]) -> Iterator[str]:
    yield f"Version {report['version']}"
    if report["progress"]:
        yield "\nProgress"
        columns = (
            "task",
            "model",
            "share",
            "examples",
            "positives",
            "log loss",
            "auc",
            "calibration",
            "up to",
        )
        rows = [
            (
                each["task"], each["model"], f"{each['scored_share']:.3g}", each["examples"],
                each["positives"], *(_figure(each[name]) for name in ("log_loss", "auc", "calibration")),
                utc(each["ts_ms"]),
            )
            for each in report["progress"]
        ]  # fmt: skip
        yield table(columns, rows)
    for name, task in report["tasks"].items():
        told = ", ".join(f"{setting} {value:g}" for setting, value in task["settings"].items())
        yield f"\n{name}: {told}"
        yield f"  {task['buckets']} buckets learned, {task['non_zero']} weights that are not 0"
        if len(members := report["contests"].get(name, [])) > 1:
            yield f"\nWho competes for {name}; gains in millinats an example"
            yield table(("member", "alpha", "l1", "l2", "compared", "gain", "95% interval"), _gains(members))
        if task["groups"]:
            yield f"\nWhat matters for {name}, over {task['examples']} examples, in log odds"
            yield table(("group", "spread", "mean"), _spreads(task["groups"]))
            yield ""
            yield table(("feature", "spread", "mean"), _spreads(task["features"]))
        if task["largest"]:
            yield f"\nLargest weights of {name}"
            rows = [(each["feature"], each["bucket"], f"{each['weight']:+.6f}") for each in task["largest"]]
            yield table(("feature", "bucket", "weight"), rows)
    if report["delay_shares"]:
        yield "\nConversions by delay"
        rows = [
            (f"up to {FIRST_S * 2**number / 3600:.1f} h", f"{share:.4f}")
            for number, share in enumerate(report["delay_shares"])
            if share >= 0.00005
        ]
        yield table(("delay", "share"), rows)


def _change(change: Change, called: dict[int, list[str]]) -> dict[str, Any]:
    largest = [
        {"bucket": bucket, "feature": _called(bucket, called), "old": old, "new": new}
        for bucket, old, new in zip(change.buckets, change.old, change.new, strict=True)
    ]
    counts = {
        name: getattr(change, name)
        for name in (
            "settings",
            "buckets_old",
            "buckets_new",
            "buckets_changed",
            "mean_change",
            "largest_change",
        )
    }
    return counts | {"largest": largest}


def _changed(name: str, change: dict[str, Any]) -> Iterator[str]:
    yield f"\n{name}: {change['buckets_changed']} weights changed, by {change['mean_change']:.6f} in the mean"
    yield f"  buckets learned: {change['buckets_old']}, now {change['buckets_new']}"
    for setting, (old, new) in change["settings"].items():
        yield f"  {setting}: {old:g}, now {new:g}"
    rows = [
        (each["feature"], each["bucket"], f"{each['old']:+.6f}", f"{each['new']:+.6f}")
        for each in change["largest"]
    ]
    if rows:
        yield table(("feature", "bucket", "old", "new"), rows)


def _gains(members: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows = []
    for each in members:
        gain, lower, upper = (f"{1e3 * each[name]:+.3f}" for name in ("gain", "lower", "upper"))
        figures = (gain, f"{lower} to {upper}") if each["compared"] else ("", "")
        settings = (f"{each[name]:g}" for name in ("alpha", "l1", "l2"))
        rows.append((each["role"], *settings, str(each["compared"]), *figures))
    return rows


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _spreads(found: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["name"], f"{each['spread']:.4f}", f"{each['mean']:+.4f}") for each in found]
