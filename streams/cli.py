"""The command line: ``headrace COMMAND``.

Exit status: 0 done, 1 failed (one sentence on stderr says why), 2 the command was used wrongly.
"""

from importlib import import_module
from pathlib import Path

import click

from streams.settings import SettingsError, load_with_sources

COMMANDS = {
    "adopt": "streams.commands.adopt:adopt",
    "bench": "streams.commands.bench:bench",
    "check": "streams.commands.check:check",
    "data": "streams.commands.data:data",
    "dead-letters": "streams.commands.dead_letters:dead_letters",
    "demo": "streams.commands.demo:demo",
    "explain": "streams.commands.explain:explain",
    "init": "streams.commands.init:init",
    "lag": "streams.commands.lag:lag",
    "model": "streams.commands.model:model",
    "pause": "streams.commands.switches:pause",
    "profile": "streams.commands.profile:profile",
    "query": "streams.commands.query:query",
    "repartition": "streams.commands.repartition:repartition",
    "replay": "streams.commands.replay:replay",
    "resume": "streams.commands.switches:resume",
    "schema": "streams.commands.schema:schema",
    "send": "streams.commands.send:send",
    "settings": "streams.commands.settings:settings",
    "simulate": "streams.commands.simulate:simulate",
    "topics": "streams.commands.topics:topics",
    "version": "streams.commands.version:version",
    "worker": "streams.commands.worker:worker",
}

SOURCES = "headrace.sources"
"""Key of click's ``meta`` under which a command finds where the settings come from."""


class LazyGroup(click.Group):
    """Imports a command when it is asked for, so that ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file of settings (default: the one HEADRACE_CONFIG names).",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.NAME=VALUE",
    help="One setting, for example --set kafka.partitions=4; may be repeated.",
)
@click.version_option(package_name="headrace", prog_name="headrace")
@click.pass_context
def main(ctx: click.Context, config: Path | None, overrides: tuple[str, ...]) -> None:
    """Headrace: shop events in, profiles, learners and audited decisions out."""
    pairs = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise click.UsageError(f"--set {override}: expected SECTION.NAME=VALUE")
        pairs[name] = value
    try:
        settings, ctx.meta[SOURCES] = load_with_sources(config, overrides=pairs)
        if settings.kafka.encrypted:
            from streams.connection import ssl_context

            ssl_context(settings.kafka)  # a certificate that cannot be used is a setting that cannot
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    ctx.obj = settings
