"""``headrace schema``: the contract as JSON Schema and AsyncAPI."""

from importlib.metadata import version
from pathlib import Path

import click
import orjson

from schemas.contract import FILE_NAMES, Format, document

EPILOG = """\b
Examples:
  headrace schema
  headrace schema --format asyncapi | jq '.channels | keys'
  headrace schema --out schemas/published
"""


@click.command(epilog=EPILOG)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FILE_NAMES)),
    multiple=True,
    help="json-schema or asyncapi (default: json-schema on stdout, both with --out).",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files into DIR instead, which is made if need be.",
)
def schema(formats: tuple[Format, ...], out: Path | None) -> None:
    """Write the contract of all topics as JSON Schema (draft 2020-12) or AsyncAPI 3.0.

    Both come from the structs in schemas/, with the meaning and the unit of each field.
    """
    if out is None:
        if len(formats) > 1:
            raise click.UsageError("Expected one --format on stdout, got several; --out DIR writes files")
        click.echo(rendered(formats[0] if formats else "json-schema"), nl=False)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for format in formats or FILE_NAMES:
            path = out / FILE_NAMES[format]
            path.write_bytes(rendered(format))
            click.echo(f"Wrote {path}")
    except OSError as error:
        raise click.ClickException(f"Cannot write to {out}: {error.strerror}; choose another --out") from None


def rendered(format: Format) -> bytes:
    """A document as indented JSON with a newline at its end."""
    return orjson.dumps(
        document(format, version("headrace")), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
