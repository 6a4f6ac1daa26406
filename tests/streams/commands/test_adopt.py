"""``headrace adopt`` and ``headrace bench adopt``."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from kafka import KafkaProducer

from streams.adoption import mapping as mapping_module
from streams.adoption.mapping import load
from streams.bench.foreign import generate
from streams.cli import main
from streams.embedded.process import free_port

MAPPINGS = Path(mapping_module.__file__).parent / "mappings"
GA4 = str(MAPPINGS / "ga4.toml")


def headrace(*arguments, servers="127.0.0.1:1"):
    """Run the command."""
    return CliRunner().invoke(main, ["--set", f"kafka.bootstrap_servers={servers}", *map(str, arguments)])


@pytest.fixture
def sample(tmp_path):
    """A file of GA4 events, the last of which are nothing that is known."""
    path = tmp_path / "sample.jsonl"
    lines = [value for _, value in generate("ga4", 200, seed=1)]
    path.write_bytes(b"\n".join([*lines, b'{"event_name":"spin"}', b"?"]))
    return path


def test_a_file_is_proposed_reviewed_and_checked(sample, tmp_path):
    """The proposal is a mapping that `check` takes, and both count every record once."""
    out = tmp_path / "mapping.toml"
    proposed = headrace("adopt", "propose", "web", "--file", sample, "--out", out, "--json")
    assert 0 == proposed.exit_code, proposed.output
    [report] = orjson.loads(proposed.stdout)["topics"]
    assert 202 == sum(report["mapped"].values()) + report["ignored"] + sum(report["dead_letters"].values())
    assert 2 == sum(report["dead_letters"].values())
    assert "# TO BE DECIDED: whether it is of use" in out.read_text()
    checked = headrace("adopt", "check", "--mapping", out, "--file", sample, "--json")
    assert [report] == orjson.loads(checked.stdout)["topics"]
    assert "web" == load(out).topics[0].name


def test_a_reviewed_file_is_not_written_over(sample, tmp_path):
    """Only with --force."""
    out = tmp_path / "mapping.toml"
    out.write_text("reviewed")
    refused = headrace("adopt", "propose", "web", "--file", sample, "--out", out)
    assert (2, "reviewed") == (refused.exit_code, out.read_text())
    assert 0 == headrace("adopt", "propose", "web", "--file", sample, "--out", out, "--force").exit_code


def test_the_report_says_what_a_person_wants_to_know(sample, tmp_path):
    """Shares, reasons, kinds without a rule, fields without use; and no value of a record."""
    said = headrace("adopt", "check", "--mapping", GA4, "--file", sample).stdout
    assert "would be dead letters" in said
    assert "Kinds that no rule is for: spin (1)" in said
    assert "$.stream_id (100%)" in said
    assert "1748000000" not in said


def test_topics_of_a_broker_are_sampled(broker):
    """Without a file the newest records are looked at."""
    producer = KafkaProducer(bootstrap_servers=broker)
    for key, value in generate("ga4", 50, seed=1):
        producer.send("ga4", value, key)
    producer.close()
    found = headrace("adopt", "check", "--mapping", GA4, "--json", servers=broker)
    [report] = orjson.loads(found.stdout)["topics"]
    assert (50, {}) == (report["sampled"], report["dead_letters"])


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["propose"], 2, "Missing argument 'TOPIC...'"),
        (["propose", "a", "b", "--file", GA4], 2, "--file holds the records of one TOPIC, got a, b"),
        (["check", "--mapping", "none.toml"], 2, "--mapping: mapping none.toml: No such file or directory"),
        (["check", "--mapping", GA4, "other"], 2, "The mapping has no topic other; it has ga4"),
        (["bridge", "--mapping", "none.toml"], 2, "--mapping: mapping none.toml: No such file or directory"),
    ],
)
def test_wrong_usage_is_said_so(arguments, status, reason):
    """A sentence and exit status 2."""
    result = headrace("adopt", *arguments)
    assert (status, True) == (result.exit_code, reason in result.output), result.output


@pytest.mark.parametrize(
    "arguments", [["propose", "web"], ["check", "--mapping", GA4], ["bridge", "--mapping", GA4]]
)
def test_a_broker_that_is_not_there_is_one_sentence(arguments, tmp_path, monkeypatch):
    """Exit status 1, no traceback."""
    monkeypatch.chdir(tmp_path)
    result = headrace("adopt", *arguments, servers=f"127.0.0.1:{free_port()}")
    assert (1, 1) == (result.exit_code, result.stderr.count("Error: ")), result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [["worker"], ["lag"], ["init"], ["topics", "describe"]])
def test_a_mapping_that_cannot_be_used_is_wrong_usage(command, tmp_path):
    """Whichever command needs it says what is wrong and where."""
    path = tmp_path / "mapping.toml"
    path.write_text('[[topics]]\nname = "web"\nrules = []\n')
    result = headrace("--set", f"adoption.mapping={path}", *command)
    assert 2 == result.exit_code
    assert "Expected `array` of length >= 1 - at `$.topics[0].rules`" in result.output


def test_the_benchmark_shows_both_sides_of_a_shape():
    """What a mapping costs stands beside the same events in the contract's shape."""
    result = headrace(
        "bench", "adopt", "--shape", "retailrocket", "--events", 5_000, "--repetitions", 1, "--json"
    )
    report = orjson.loads(result.stdout)["retailrocket"]
    assert (5_000, 5_000, 0) == (report["records"], report["mapped"], report["ignored"])
    assert report["with_mapping"]["decode_us_per_event"] > report["without"]["decode_us_per_event"] > 0
