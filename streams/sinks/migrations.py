"""The tables of ClickHouse, laid by numbered .sql files and never changed after they were applied."""

import re
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from streams.sinks.store import Store

FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
END_OF_STATEMENT = re.compile(r";\s*$", re.MULTILINE)
COMMENT_LINE = re.compile(r"^\s*--.*$\n?", re.MULTILINE)

OLDEST_SERVER = 23, 8
"""Of ClickHouse: older ones lack parts of the DDL. It is tested on 26 (chdb); compose files pin 25.8."""

LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt16,
    name       String,
    checksum   String COMMENT 'SHA-256 of the file',
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY number
COMMENT 'Migrations that were applied'
"""


class MigrationError(Exception):
    """The database's migrations and the files do not fit together."""


@dataclass(frozen=True)
class Migration:
    """One file ``<number>_<name>.sql``; each of its statements ends with ``;`` at the end of a line."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements, without comment lines."""
        parts = END_OF_STATEMENT.split(COMMENT_LINE.sub("", self.sql))
        return [part.strip() for part in parts if part.strip()]


def load() -> list[Migration]:
    """The migrations of ``schemas/migrations``, by number."""
    found = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in (files("schemas") / "migrations").iterdir()
        if (match := FILE_NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def apply(store: Store, database: str, migrations: list[Migration] | None = None) -> list[str]:
    """Create the database and apply what it has not had yet; one process at a time.

    A run that broke off is taken up where it stopped: a statement that was applied and not yet noted
    is met by ``IF NOT EXISTS``.

    Args:
        store: Whose own database is ``database``.
        database: Made where it is missing.
        migrations: Those of ``schemas/migrations`` by default.

    Returns:
        Names of the files applied now, ``0001_decisions`` for example.

    Raises:
        MigrationError: The server is too old, or a file that was applied has changed or is gone.
        StoreError: The store failed.
    """
    store.create_database(database)
    _check_version(store)
    store.execute(LEDGER)
    fresh = pending(store, database, migrations)
    for migration in fresh:
        for statement in migration.statements:
            store.execute(statement)
        store.insert(
            "schema_migrations",
            {
                "number": [migration.number],
                "name": [migration.name],
                "checksum": [migration.checksum],
            },
            token=f"migration:{migration.number}",
        )
    return [f"{migration.number:04}_{migration.name}" for migration in fresh]


def pending(store: Store, database: str, migrations: list[Migration] | None = None) -> list[Migration]:
    """Those of ``schemas/migrations`` that the database has not had; changes nothing.

    Raises:
        MigrationError: A file that was applied has changed or is gone.
        StoreError: The store failed, or has no ledger of migrations yet.
    """
    migrations = load() if migrations is None else migrations
    applied = {
        number: (name, checksum)
        for number, name, checksum in store.query(
            "SELECT number, name, checksum FROM schema_migrations FINAL ORDER BY number"
        ).rows
    }
    known = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in applied.items():
        if number not in known:
            raise MigrationError(
                f"{database} has had migration {number:04}_{name}, which this version of Headrace lacks: "
                "use the version that applied it, or a newer one"
            )
        if known[number].checksum != checksum:
            raise MigrationError(
                f"{number:04}_{known[number].name}.sql was applied with checksum {checksum[:12]} and now has "
                f"{known[number].checksum[:12]}: put the file back, and make the change in a new one"
            )
    return [migration for migration in migrations if migration.number not in applied]


def _check_version(store: Store) -> None:
    version = str(store.query("SELECT version()").rows[0][0])
    if tuple(map(int, version.split(".")[:2])) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise MigrationError(
            f"Expected ClickHouse {oldest} or newer, got {version}: use another server, or none "
            "(without clickhouse.host nothing is stored)"
        )
