"""docker-compose.yml, held against the settings, the tree and the command line: no Docker runs here."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from streams.cli import main
from streams.settings import SECTIONS, load, name_to_variable, variable_to_name

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
KNOWN = {f"{section}.{key}" for section, struct in SECTIONS.items() for key in struct.__struct_fields__}
DOCUMENTS = ["docker-compose.yml", "README.md", "deploy/Dockerfile", "deploy/README.md"]


def test_the_services_are_those_that_a_shop_needs() -> None:
    """A broker, a store, what lays topics and tables, and two workers."""
    assert {"kafka", "clickhouse", "init", "worker"} == set(SERVICES)
    assert ["init", "worker"] == list(OURS)
    assert 2 == SERVICES["worker"]["deploy"]["replicas"]


@pytest.mark.parametrize("service", OURS)
def test_it_sets_what_the_settings_know(service: str) -> None:
    """Every variable of our services is a setting, with a value that can be used."""
    environment = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    assert set() == {variable_to_name(variable) for variable in environment} - KNOWN
    settings = load(environment=environment)
    assert "kafka:9092" == settings.kafka.bootstrap_servers
    assert "clickhouse" == settings.clickhouse.host
    assert {settings.kafka.bootstrap_servers.partition(":")[0], settings.clickhouse.host} <= set(SERVICES)


@pytest.mark.parametrize("service", OURS)
def test_its_commands_are_those_of_the_command_line(service: str) -> None:
    """Command and options exist."""
    command, *arguments = SERVICES[service]["command"]
    with click.Context(main) as context:
        found = main.get_command(context, command)
        assert found is not None
        found.make_context(command, arguments, parent=context)


def test_its_paths_exist() -> None:
    """What it builds from is in the tree, and every volume is declared and used."""
    for service in OURS.values():
        context = ROOT / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    here = [mount for mount in mounts if mount.startswith((".", "/"))]
    assert [] == [mount for mount in here if not (ROOT / mount).exists()]
    assert set(COMPOSE["volumes"]) == set(mounts) - set(here)


def test_images_are_pinned_to_the_patch() -> None:
    """None floats; Kafka is the version that the test bed runs, and ours is the package's."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert [] == [
        image for image in images.values() if not re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\d.]*", image)
    ]
    pom = (ROOT / "deploy/testbeds/kafka/pom.xml").read_text()
    assert f"apache/kafka:{re.findall('<version>(.*?)</version>', pom)[0]}" == images["kafka"]
    version = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
    assert {f"headrace:{version}"} == {service["image"] for service in OURS.values()}


def test_nothing_starts_before_what_it_needs() -> None:
    """Who needs a server waits until it is healthy, which the server can say; workers wait for init, too."""
    for service in OURS.values():
        waits = {name: each["condition"] for name, each in service["depends_on"].items()}
        assert {"kafka": "service_healthy", "clickhouse": "service_healthy"}.items() <= waits.items()
    assert "service_completed_successfully" == SERVICES["worker"]["depends_on"]["init"]["condition"]
    assert ["CMD", "CMD"] == [SERVICES[name]["healthcheck"]["test"][0] for name in ("kafka", "clickhouse")]


def test_brokers_and_listeners_fit_each_other() -> None:
    """Each listener is advertised under a name that its clients can reach, and has a protocol."""
    environment = SERVICES["kafka"]["environment"]
    protocols = dict(
        each.split(":") for each in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    listeners = dict(each.split("://") for each in environment["KAFKA_LISTENERS"].split(","))
    advertised = dict(each.split("://") for each in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert set(protocols) == set(listeners) == {*advertised, environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert "kafka:9092" == advertised[environment["KAFKA_INTER_BROKER_LISTENER_NAME"]]
    (port,) = SERVICES["kafka"]["ports"]
    assert f"127.0.0.1:{advertised['HOST'].split(':')[1]}{listeners['HOST']}" == port


def test_nothing_is_open_to_the_network() -> None:
    """It has no passwords, so its ports are bound to loopback; what is ours has no privileges."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [] == [port for port in ports if not port.startswith("127.0.0.1:")]
    for service in OURS.values():
        assert (["ALL"], ["no-new-privileges:true"]) == (service["cap_drop"], service["security_opt"])


def test_state_outlives_a_container() -> None:
    """Both servers keep their data on volumes; workers have time for a last checkpoint, and start again."""
    assert ["kafka:/var/lib/kafka/data"] == SERVICES["kafka"]["volumes"]
    assert "/var/lib/kafka/data" == SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"]
    assert ["clickhouse:/var/lib/clickhouse"] == SERVICES["clickhouse"]["volumes"]
    worker = SERVICES["worker"]
    assert ("unless-stopped", "30s") == (worker["restart"], worker["stop_grace_period"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_names_a_setting_that_is_not_there(document: str) -> None:
    """Each HEADRACE_ variable that is written about exists."""
    written = set(re.findall(r"HEADRACE_[A-Z_]+[A-Z]", (ROOT / document).read_text()))
    assert set() == written - {name_to_variable(name) for name in KNOWN} - {"HEADRACE_CONFIG"}
