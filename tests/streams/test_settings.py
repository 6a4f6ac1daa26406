"""Settings: where they come from, and what a child process sees."""

from pathlib import Path

import pytest

from streams.settings import (
    ClickHouse,
    Deciding,
    Kafka,
    Settings,
    SettingsError,
    child_environment,
    load,
)


def test_a_child_has_exactly_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment says every setting, and nothing of ours shines through."""
    monkeypatch.setenv("HEADRACE_CONFIG", "/etc/headrace.toml")
    monkeypatch.setenv("HEADRACE_STATE_MAX_PROFILES", "7")
    settings = Settings(
        kafka=Kafka(partitions=3, session_timeout_s=6.5),
        deciding=Deciding(floor=0.05),
        clickhouse=ClickHouse(secure=True, password="a b"),
    )
    environment = child_environment(settings)
    assert "HEADRACE_CONFIG" not in environment
    assert settings == load(environment=environment)


def test_the_later_source_wins(tmp_path: Path) -> None:
    """The file, then the environment, then the command line."""
    path = tmp_path / "headrace.toml"
    path.write_text('[kafka]\npartitions = 1\ngroup_id = "file"\nreplication_factor = 2\n')
    environment = {"HEADRACE_KAFKA_PARTITIONS": "4", "HEADRACE_KAFKA_GROUP_ID": "environment"}
    settings = load(path, environment, {"kafka.partitions": "5"})
    assert Kafka(partitions=5, group_id="environment", replication_factor=2) == settings.kafka


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HEADRACE_KAFKA_PORT", "1", "kafka.port = '1' (from environment variable HEADRACE_KAFKA_PORT): "),
        ("HEADRACE_KAFKA_PARTITIONS", "0", "kafka.partitions = '0' (from environment variable "),
        (
            "HEADRACE_GATE_MISSING_SHARE",
            "0.1",
            "gate.missing_share = '0.1' (from environment variable HEADRACE_GATE_MISSING_SHARE): "
            "Expected `float` >= 0.2",
        ),
        ("HEADRACE_CLICKHOUSE_DATABASE", "a-b", "clickhouse.database = 'a-b' (from environment variable "),
    ],
)
def test_what_cannot_be_used_is_named(variable: str, value: str, sentence: str) -> None:
    """The message has the setting, its value and where it came from."""
    with pytest.raises(SettingsError) as caught:
        load(environment={variable: value})
    assert str(caught.value).startswith(sentence)


def test_a_secret_is_not_in_the_message() -> None:
    """Of a password only the name and the source are shown."""
    with pytest.raises(SettingsError) as caught:
        load(overrides={"clickhouse.password": 7})  # type: ignore[dict-item]
    assert "clickhouse.password = *** (from the command line): Expected `str`, got `int`" == str(caught.value)
