"""The embedded broker."""

import socket
import threading
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.embedded import broker as module
from streams.embedded.broker import answers, broker
from streams.embedded.process import MissingPackageError, free_port


@pytest.mark.usefixtures("broker")
def test_records_survive_a_restart(tmp_path: Path) -> None:
    """What was acknowledged is there for the next broker over the same directory."""
    with broker(tmp_path) as servers:
        producer = KafkaProducer(bootstrap_servers=servers)
        producer.send("views", b"first", partition=0).get(10)
        producer.close()
    with broker(tmp_path) as servers:
        consumer = KafkaConsumer(bootstrap_servers=servers)
        consumer.assign([TopicPartition("views", 0)])
        consumer.seek_to_beginning()
        record = next(consumer)
        consumer.close()
    assert b"first" == record.value


def test_it_listens_on_loopback_only(broker: str) -> None:
    """Other machines cannot reach it."""
    port = broker.rpartition(":")[2]
    assert answers(broker)
    assert not answers(f"127.0.0.2:{port}")  # would answer if it were bound to 0.0.0.0


def test_a_closed_port_does_not_answer() -> None:
    """Nobody there is not ready."""
    assert not answers(f"127.0.0.1:{free_port()}")


def test_another_protocol_does_not_answer() -> None:
    """A listener that speaks something else is not taken for a broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_greet_once, args=(server,))
        thread.start()
        assert not answers("{}:{}".format(*server.getsockname()))
        thread.join()


def test_an_absent_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""

    def absent(package: str) -> Path:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(module, "files", absent)
    with pytest.raises(MissingPackageError, match=r"pip install 'headrace\[embedded\]'"), broker(tmp_path):
        pass


def _greet_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
