"""The topics that are read, for a command: a mapping that cannot be used is wrong usage."""

import click

from streams.adoption.inputs import Inputs, open_inputs
from streams.adoption.mapping import MappingError
from streams.settings import Settings


def command_inputs(settings: Settings) -> Inputs:
    """What the settings say is read."""
    try:
        return open_inputs(settings.adoption)
    except MappingError as error:
        raise click.UsageError(f"adoption.mapping: {error}") from None
