"""Questions to the cluster."""

from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError, KafkaError, TopicAuthorizationFailedError

from streams.admin import NoBrokerError, ask
from streams.embedded.process import free_port
from streams.settings import Kafka


def failing(error: type[KafkaError], times: int) -> Callable[[KafkaAdminClient], str]:
    """A question that is answered after some errors."""
    errors = [error() for _ in range(times)]

    def question(admin: KafkaAdminClient) -> str:
        if errors:
            raise errors.pop()
        return "the answer"

    return question


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


def test_nobody_there_is_an_error_in_the_end() -> None:
    """The message names the address."""
    servers = f"127.0.0.1:{free_port()}"
    with pytest.raises(NoBrokerError, match=servers):
        ask(Kafka(bootstrap_servers=servers, request_timeout_s=0.1), lambda admin: None)
