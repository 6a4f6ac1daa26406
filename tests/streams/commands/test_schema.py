"""``headrace schema``."""

from pathlib import Path

import orjson
from click.testing import CliRunner

from schemas.contract import FILE_NAMES
from streams.cli import main


def test_it_writes_json_schema_to_stdout() -> None:
    """Nothing but the document, so that it can be piped."""
    result = CliRunner().invoke(main, ["schema"])
    assert "https://json-schema.org/draft/2020-12/schema" == orjson.loads(result.stdout)["$schema"]


def test_it_writes_asyncapi_on_request() -> None:
    """The format is an option."""
    result = CliRunner().invoke(main, ["schema", "--format", "asyncapi"])
    assert "3.0.0" == orjson.loads(result.stdout)["asyncapi"]


def test_it_writes_both_into_a_directory(tmp_path: Path) -> None:
    """The directory is made, and each file is named."""
    directory = tmp_path / "made" / "here"
    result = CliRunner().invoke(main, ["schema", "--out", str(directory)])
    assert sorted(FILE_NAMES.values()) == sorted(path.name for path in directory.iterdir())
    assert [f"Wrote {directory / name}" for name in FILE_NAMES.values()] == result.stdout.splitlines()


def test_two_formats_do_not_fit_one_stdout() -> None:
    """Wrong usage, with the way out."""
    result = CliRunner().invoke(main, ["schema", "--format", "asyncapi", "--format", "json-schema"])
    assert 2 == result.exit_code
    assert "--out DIR writes files" in result.stderr


def test_a_directory_that_cannot_be_made_fails_with_one_sentence(tmp_path: Path) -> None:
    """Exit status 1, and no traceback."""
    (tmp_path / "file").touch()
    result = CliRunner().invoke(main, ["schema", "--out", str(tmp_path / "file" / "below")])
    assert 1 == result.exit_code
    assert result.stderr.startswith(f"Error: Cannot write to {tmp_path}/file/below: ")
