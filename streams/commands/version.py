"""``headrace version``: what runs here, for a bug report."""

import platform
from importlib.metadata import version as installed_version

import click
import orjson

from streams.packages import packages

EPILOG = """\b
Examples:
  headrace version
  headrace version --json | jq -r .headrace
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def version(as_json: bool) -> None:
    """Show the versions of Headrace, Python, the platform and the packages it uses."""
    versions = {
        "headrace": installed_version("headrace"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    found = packages()
    if as_json:
        click.echo(orjson.dumps(versions | {"packages": found}))
        return
    for name, text in (versions | found).items():
        click.echo(f"{name:<18} {text}")
