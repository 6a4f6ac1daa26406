"""The store that a command asks: the one set, or the embedded engine of the data directory."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
from msgspec.structs import replace

from streams.embedded.platform import engine
from streams.embedded.process import ProcessError
from streams.settings import ClickHouse, Settings
from streams.sinks.store import RefusedError, Store, StoreError, UncertainError, open_store


@contextmanager
def command_store(settings: Settings) -> Iterator[Store]:
    """The store for the length of a command; what it cannot do is one sentence of click's.

    Where neither a server nor an engine is set, it is the engine that ``<data_dir>/engine.url`` names,
    or one that is started over ``<data_dir>/engine``.
    """
    with ExitStack() as stack:
        try:
            clickhouse = _reach(settings, stack)
            yield stack.enter_context(closing(open_store(clickhouse)))
        except (ProcessError, StoreError) as error:
            raise click.ClickException(str(error)) from None


def _reach(settings: Settings, stack: ExitStack) -> ClickHouse:
    clickhouse, data_dir = settings.clickhouse, Path(settings.embedded.data_dir)
    if clickhouse.host or clickhouse.engine_url:
        return clickhouse
    address = data_dir / "engine.url"
    if address.is_file():
        running = replace(clickhouse, engine_url=address.read_text().strip())
        if _answers(running):
            return running
    if not (data_dir / "engine").is_dir():
        raise StoreError(
            f"No ClickHouse is set and {data_dir}/engine does not exist: run `headrace demo` first, "
            "or set clickhouse.host or embedded.data_dir"
        )
    return replace(clickhouse, engine_url=stack.enter_context(engine(data_dir / "engine")))


def _answers(clickhouse: ClickHouse) -> bool:
    with closing(open_store(clickhouse)) as store:
        try:
            store.execute("SELECT 1")
        except RefusedError:  # an engine whose database is yet to be made
            return True
        except UncertainError:  # whoever wrote the address was killed
            return False
    return True
