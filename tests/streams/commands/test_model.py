"""``headrace model``."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer
from msgspec import to_builtins

from models.features import FEATURES, bucket_of
from models.hashing import stable_key
from models.learner import Learner
from schemas.catalog import Ad, Campaign, entry_key
from schemas.examples import Example
from schemas.topics import CATALOG, EXAMPLES, MODEL
from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import create_topics

BITS = 12
AD_BUCKET = int(bucket_of(FEATURES.index("ad"), stable_key("ad-1"), (1 << BITS) - 1))
ENTRIES = (Campaign("spring"), Ad("ad-1", "spring", bid_micros=1))


def invoke(servers: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--set", f"kafka.bootstrap_servers={servers}", "model", *arguments])


def examples() -> list[Example]:
    """Of an ad that is clicked, and others that are not."""
    random = np.random.default_rng(1)
    found = []
    for number in range(300):
        buckets = random.integers(0, 1 << BITS, len(FEATURES)).tolist()
        is_ad = number % 3 == 0
        if is_ad:
            buckets[FEATURES.index("ad")] = AD_BUCKET
        found.append(Example(f"ctr-0-{number}-0", "ctr", 1_748_851_200_000, int(is_ad), 1.0, "own", buckets))
    return found


@pytest.fixture
def servers(fresh_broker: str) -> str:
    """A broker with a catalogue, 300 examples, and three versions of what was learned of them."""
    kafka = Kafka(bootstrap_servers=fresh_broker)
    learner, told = Learner(bits=BITS, alpha=0.3, challengers=2), examples()
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    for entry in ENTRIES:
        value = orjson.dumps(to_builtins(entry))
        producer.send(CATALOG.name, value, key=entry_key(entry).encode(), partition=0)
    for end in (100, 200, 300):
        for example in told[end - 100 : end]:
            producer.send(EXAMPLES.name, orjson.dumps(to_builtins(example)), partition=0)
        learner.learn(told[end - 100 : end], end)
        for key, value in learner.publish():
            producer.send(MODEL.name, value, key=key.encode(), partition=0)
    producer.close()
    return fresh_broker


def test_it_shows_the_newest_version(servers: str) -> None:
    """Version, settings and progress; the clicked ad's weight by its name, and what matters."""
    result = invoke(servers, "show", "--json")
    report = orjson.loads(result.stdout)
    task = report["tasks"]["ctr"]
    assert 0 == result.exit_code
    assert (300, 0.3, 300) == (report["version"], task["settings"]["alpha"], task["examples"])
    assert (AD_BUCKET, "ad=ad-1") == (task["largest"][0]["bucket"], task["largest"][0]["feature"])
    assert ("ad", "ad") == (task["groups"][0]["name"], task["features"][0]["name"])
    members = [(each["role"], each["alpha"], each["gain"]) for each in report["contests"]["ctr"]]
    assert [("champion", 0.3, 0.0), ("challenger", 0.6, 0.0), ("challenger", 0.15, 0.0)] == members
    assert {("ctr", "ftrl"), ("cvr", "mean")} <= {
        (each["task"], each["model"]) for each in report["progress"]
    }


def test_it_can_be_read(servers: str) -> None:
    """The same as a page, with a line for the ad and its group, and one for each challenger."""
    lines = invoke(servers, "show", "--top", "3").stdout.splitlines()
    assert "Version 300" == lines[0]
    assert any(line.startswith("ad=ad-1") for line in lines)
    assert "What matters for ctr, over 300 examples, in log odds" in lines
    assert ["challenger", "0.6", "0", "1", "0"] in [line.split() for line in lines]


def test_an_export_is_shown_and_compared(servers: str, tmp_path: Path) -> None:
    """Without a broker too; what two versions differ by is what their exports differ by."""
    for version, name in ((100, "old.json"), (300, "new.npz")):
        result = invoke(servers, "export", str(tmp_path / name), "--version", str(version))
        assert 0 == result.exit_code, result.stderr
    nowhere = f"127.0.0.1:{free_port()}"
    shown = orjson.loads(invoke(nowhere, "show", str(tmp_path / "old.json"), "--json").stdout)
    assert (100, "(no name)") == (shown["version"], shown["tasks"]["ctr"]["largest"][0]["feature"])
    files = orjson.loads(
        invoke(nowhere, "diff", str(tmp_path / "old.json"), str(tmp_path / "new.npz"), "--json").stdout
    )
    versions = orjson.loads(invoke(servers, "diff", "100", "--json").stdout)
    assert (100, 300) == (files["old"], files["new"]) == (versions["old"], versions["new"])
    moved = [(each["bucket"], each["old"], each["new"]) for each in files["tasks"]["ctr"]["largest"]]
    assert moved == [
        (each["bucket"], each["old"], each["new"]) for each in versions["tasks"]["ctr"]["largest"]
    ]
    assert "ad=ad-1" == versions["tasks"]["ctr"]["largest"][0]["feature"]


def test_a_difference_can_be_read(servers: str) -> None:
    """From where to where, how many weights, and the ad by its name."""
    lines = invoke(servers, "diff", "200", "300").stdout.splitlines()
    assert "From version 200 to 300" == lines[0]
    assert any(line.startswith("ctr: ") and "weights changed" in line for line in lines)
    assert any(line.startswith("ad=ad-1") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("show", "150"), 1, "Expected a version of topic `model`, got 150: the nearest are 100, 200, 300"),
        (("show", "absent.json"), 2, "Expected `newest`, a version or a file of `headrace model export`"),
        (("diff", "absent.json"), 2, "got `absent.json` (No such file or directory)"),
        (("export", "model.pickle"), 2, "expected a name that ends with .json or .npz, got `model.pickle`"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    servers: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    """The exit status tells wrong usage from a model that is not there; there is no traceback."""
    result = invoke(servers, *arguments)
    assert (status, "") == (result.exit_code, result.stdout)
    assert message in result.stderr


def test_a_file_is_not_overwritten_unasked(servers: str, tmp_path: Path) -> None:
    """An export may be somebody's only copy."""
    file = tmp_path / "model.json"
    file.write_text("mine")
    result = invoke(servers, "export", str(file))
    assert (1, "mine") == (result.exit_code, file.read_text())
    assert 0 == invoke(servers, "export", str(file), "--force").exit_code


def test_another_file_is_refused(servers: str, tmp_path: Path) -> None:
    """What was not written by an export is named, and not read as a model."""
    file = tmp_path / "other.json"
    file.write_text("{}")
    result = invoke(servers, "show", str(file))
    assert 1 == result.exit_code
    assert "Expected a file that `headrace model export` has written" in result.stderr


def test_an_absent_broker_fails_with_one_sentence() -> None:
    """Exit status 1 and what to look at."""
    result = invoke(f"127.0.0.1:{free_port()}", "show")
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Error: No Kafka broker answered")
