"""Questions to the cluster."""

import gc
import os
import random
import socket
import threading
from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError, KafkaError, TopicAuthorizationFailedError

from streams.admin import NoBrokerError, ask, open_admin
from streams.embedded.process import free_port
from streams.logs import silent
from streams.settings import Kafka


def failing(error: type[KafkaError], times: int) -> Callable[[KafkaAdminClient], str]:
    """A question that is answered after some errors."""
    errors = [error() for _ in range(times)]

    def question(admin: KafkaAdminClient) -> str:
        if errors:
            raise errors.pop()
        return "the answer"

    return question


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    gc.collect()
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def test_an_answer_that_is_not_there_yet_is_asked_for_again(broker: str) -> None:
    """A new cluster has no coordinator for a moment."""
    question = failing(CoordinatorNotAvailableError, times=2)
    assert "the answer" == ask(Kafka(bootstrap_servers=broker), question)


def test_a_refusal_is_final(broker: str) -> None:
    """What will not become true is not waited for."""
    with pytest.raises(TopicAuthorizationFailedError):
        ask(Kafka(bootstrap_servers=broker), failing(TopicAuthorizationFailedError, times=1))


def test_patience_ends(broker: str) -> None:
    """What should have been true soon and is not in ``request_timeout_s`` is an error."""
    settings = Kafka(bootstrap_servers=broker, request_timeout_s=0.2)
    with pytest.raises(CoordinatorNotAvailableError):
        ask(settings, failing(CoordinatorNotAvailableError, times=100))


def test_a_node_that_is_frozen_is_passed_over(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing, though asked first, does not take the time in which another answers."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # connections wait, and nobody takes them
        silent_port = frozen.getsockname()[1]
        monkeypatch.setattr(random, "sample", lambda servers, count: servers)
        monkeypatch.setattr(
            random, "choice", lambda brokers: min(brokers, key=lambda each: each.port != silent_port)
        )
        with open_admin(Kafka(bootstrap_servers=f"127.0.0.1:{silent_port},{broker}")) as admin:
            assert admin.list_topics() is not None


def test_nobody_there_is_an_error_in_the_end() -> None:
    """The message names the address."""
    servers = f"127.0.0.1:{free_port()}"
    with pytest.raises(NoBrokerError, match=servers):
        ask(Kafka(bootstrap_servers=servers, request_timeout_s=0.1), lambda admin: None)


def test_a_question_without_an_answer_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker asks all through an outage: threads and sockets must not become more."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.1)
    nobody = Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}")
    before = held()

    # A record of the log would hold the socket.
    with silent("kafka"), pytest.raises(NoBrokerError), open_admin(nobody):
        pass

    assert before == held()
