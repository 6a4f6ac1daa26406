"""docker-compose.yml and the Dockerfile, held against the settings."""

import re
from pathlib import Path

import pytest

from streams.settings import Settings, load, name_to_variable

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_compose_sets_what_the_settings_know() -> None:
    """Every HEADRACE_ variable of the services is a setting, with a value that can be used."""
    environment = dict(re.findall(r'^    (HEADRACE_\w+): "?([^"\n]+)"?$', COMPOSE, re.MULTILINE))
    settings = load(environment=environment)
    assert "kafka:9092" == settings.kafka.bootstrap_servers
    assert "clickhouse" == settings.clickhouse.host


@pytest.mark.parametrize("document", ["docker-compose.yml", "README.md", "deploy/Dockerfile"])
def test_no_document_names_a_setting_that_is_not_there(document: str) -> None:
    """Each HEADRACE_ variable that is written about exists."""
    known = {
        name_to_variable(f"{section}.{key}")
        for section in Settings.__struct_fields__
        for key in getattr(Settings(), section).__struct_fields__
    }
    written = set(re.findall(r"HEADRACE_[A-Z_]+[A-Z]", (ROOT / document).read_text()))
    assert set() == written - known - {"HEADRACE_CONFIG"}


def test_images_are_pinned() -> None:
    """No image floats with the tag `latest` or none."""
    images = re.findall(r"^ +image: (\S+)$", COMPOSE, re.MULTILINE)
    images += re.findall(r"^FROM (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert 5 == len(images)
    assert [] == [image for image in images if not re.search(r":\d", image)]
