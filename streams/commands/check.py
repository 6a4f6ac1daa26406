"""``headrace check``: whether all is there that a worker needs."""

import click
import msgspec
import orjson

from streams import checks
from streams.cli import SOURCES
from streams.settings import Settings

EPILOG = """\b
Examples:
  headrace check
  headrace --config headrace.toml check --no-clock
  headrace check --json | jq '.checks[] | select(.ok | not)'
"""


@click.command(epilog=EPILOG)
@click.option("--clock/--no-clock", default=True, help="Measure the clock by a topic made for a moment.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_context
def check(ctx: click.Context, clock: bool, as_json: bool) -> None:
    """See whether settings, packages, broker, topics, clock and ClickHouse are as a worker needs them.

    A line each: ok, or what to do. Exit status 1 if any is not ok.
    """
    settings = ctx.find_object(Settings)
    assert settings is not None
    findings = []
    for finding in checks.run(settings, ctx.meta[SOURCES], clock=clock):
        findings.append(finding)
        if not as_json:
            click.echo(_line(finding))
    failed = sum(not finding.ok for finding in findings)
    if as_json:
        found = [{"ok": finding.ok} | msgspec.to_builtins(finding) for finding in findings]
        click.echo(orjson.dumps({"ok": not failed, "checks": found}))
    if failed:
        raise click.ClickException(f"{failed} of {len(findings)} checks are not ok; each says what to do")


def _line(finding: checks.Finding) -> str:
    status = "ok  " if finding.ok else "FAIL"
    remedy = "" if finding.ok else f" -> {finding.remedy}"
    return f"{status}  {finding.name:<21} {finding.found}{remedy}"
