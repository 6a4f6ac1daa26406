"""How clients are told to reach the broker."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.app import new_app
from streams.connection import connection_options, refusal, ssl_context
from streams.embedded.process import free_port
from streams.settings import Kafka, Settings, SettingsError, load

SASL = {"kafka.sasl_username": "me", "kafka.sasl_password": "secret-of-the-test"}


def kafka(**settings: str) -> Kafka:
    """Settings of the connection, read as a command reads them."""
    return load(environment={}, overrides={f"kafka.{name}": value for name, value in settings.items()}).kafka


def test_a_plain_connection_has_neither_context_nor_user() -> None:
    """The default; Faust gets no credentials then."""
    assert {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"} == connection_options(
        Kafka(bootstrap_servers="a:1,b:2")
    )
    assert new_app(Settings(), "process", "unused").conf.broker_credentials is None


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_user_and_password_reach_every_client(protocol: str) -> None:
    """Ours and Faust's, by the same mechanism; encrypted where the protocol says so."""
    settings = kafka(
        security_protocol=protocol, sasl_username="me", sasl_password="x", sasl_mechanism="PLAIN"
    )
    options = connection_options(settings)
    assert (protocol, "PLAIN", "me", "x") == (
        options["security_protocol"],
        options["sasl_mechanism"],
        options["sasl_plain_username"],
        options["sasl_plain_password"],
    )
    assert ("ssl_context" in options) == (protocol == "SASL_SSL")
    credentials = new_app(Settings(kafka=settings), "process", "unused").conf.broker_credentials
    assert (protocol, "PLAIN", "me", "x") == (
        credentials.protocol.value,
        credentials.mechanism.value,
        credentials.username,
        credentials.password,
    )


def test_a_certificate_is_checked_unless_told_otherwise() -> None:
    """The name in it, too; without SASL Faust gets the context alone."""
    settings = kafka(security_protocol="SSL")
    assert ssl_context(settings).check_hostname
    assert not ssl_context(kafka(security_protocol="SSL", ssl_check_hostname="false")).check_hostname
    credentials = new_app(Settings(kafka=settings), "process", "unused").conf.broker_credentials
    assert "SSL" == credentials.protocol.value


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            {"kafka.security_protocol": "SASL_SSL", "kafka.sasl_username": "me"},
            "is SASL_SSL: expected kafka.sasl_username and kafka.sasl_password, got not both",
        ),
        (
            SASL,
            "is PLAINTEXT: expected SASL_SSL or SASL_PLAINTEXT where kafka.sasl_username is set",
        ),
        (
            {"kafka.ssl_ca_file": "ca.pem"},
            "is PLAINTEXT: expected SSL or SASL_SSL where kafka.ssl_ca_file is set",
        ),
        (
            {"kafka.security_protocol": "SSL", "kafka.ssl_cert_file": "/nowhere.pem"},
            "kafka.ssl_cert_file = '/nowhere.pem': expected a file that can be read",
        ),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_each_other(overrides: dict[str, str], sentence: str) -> None:
    """Which, and what was expected; no password."""
    with pytest.raises(SettingsError) as raised:
        load(environment={}, overrides=overrides)
    assert str(raised.value).endswith(sentence)
    assert str(raised.value).startswith("kafka.s")
    assert "secret-of-the-test" not in str(raised.value)


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    """The settings that name it."""
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(
        SettingsError, match=r"kafka.ssl_ca_file, .*: expected certificates and a key in PEM form"
    ):
        ssl_context(kafka(security_protocol="SSL", ssl_ca_file=str(tmp_path / "ca.pem")))  # fmt: skip


@pytest.fixture
def closing_listener() -> Iterator[str]:
    """Something that takes a connection and closes it: no broker, or one that expects another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_one() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=close_one)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_what_listens_with_another_protocol_is_told_from_nobody(closing_listener: str) -> None:
    """There is a reason where somebody is, and none where nobody is, or where a broker would have us."""
    refused = refusal(Kafka(bootstrap_servers=closing_listener))
    assert refused is not None
    assert f"Something listens at {closing_listener}, but not for PLAINTEXT" in refused.sentence
    assert not refused.final  # it may be a broker that is about to serve
    assert refusal(Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}")) is None


def test_who_says_nothing_has_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is frozen takes connections and is silent: that is no reason to give up."""
    monkeypatch.setattr("streams.connection.PROBE_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert refusal(Kafka(bootstrap_servers=f"127.0.0.1:{server.getsockname()[1]}")) is None


def test_a_broker_that_would_have_us_is_no_refusal(broker: str) -> None:
    """Whatever kept a client from it, it was not that."""
    assert refusal(Kafka(bootstrap_servers=broker)) is None
