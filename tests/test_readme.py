"""The README's examples, held against the contract."""

import re
from pathlib import Path

import msgspec
import pytest

from schemas.catalog import Entry
from schemas.events import Event
from streams.cli import COMMANDS
from streams.settings import SECTIONS

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_valid(example: str) -> None:
    """Each JSON block is an event or a catalogue entry that a worker accepts, without a field of no use."""
    record = msgspec.json.decode(example, type=Event | Entry)
    assert set(msgspec.json.decode(example)) <= {"type", *record.__struct_fields__}


def test_every_kind_of_event_has_an_example() -> None:
    """No event is left for the reader to guess."""
    kinds = {msgspec.json.decode(example)["type"] for example in EXAMPLES}
    assert {"view", "exposure", "click", "purchase", "refund"} <= kinds


def test_every_command_is_listed() -> None:
    """The table of commands and the command line name the same."""
    listed = set(re.findall(r"^\| `headrace ([\w-]+)", README, re.MULTILINE))
    assert set(COMMANDS) == listed


def test_every_setting_it_names_exists() -> None:
    """The table of settings has none that was renamed."""
    named = re.findall(r"^\| `(\w+)\.(\w+)` \|", README, re.MULTILINE)
    assert named
    assert [] == [(section, key) for section, key in named if key not in SECTIONS[section].__struct_fields__]
