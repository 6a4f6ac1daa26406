"""The named queries of ``schemas/queries``: ready answers to what analysts ask first."""

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Query:
    """One file ``<name>.sql``, whose first line is a comment that says what it answers."""

    name: str
    summary: str
    sql: str


def load() -> dict[str, Query]:
    """All named queries, by name in alphabetical order.

    >>> load()["recent_decisions"].summary
    'What were the last 20 decisions?'
    """
    found = {}
    for file in sorted((files("schemas") / "queries").iterdir(), key=lambda file: file.name):
        name, _, extension = file.name.rpartition(".")
        if extension == "sql":
            sql = file.read_text("utf-8")
            found[name] = Query(name, sql.partition("\n")[0].removeprefix("--").strip(), sql)
    return found
