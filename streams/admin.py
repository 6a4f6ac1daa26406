"""The administrative connection to the broker."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.settings import Kafka

BOOTSTRAP_TIMEOUT_S = 5.0  # someone waits for the answer at a terminal


class NoBrokerError(RuntimeError):
    """No Kafka broker answered at the configured address."""


@contextmanager
def open_admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """An admin client, closed on exit.

    Raises:
        NoBrokerError: Nobody answered within 5 s.
    """
    try:
        client = KafkaAdminClient(
            bootstrap_servers=kafka.bootstrap_servers.split(","),
            bootstrap_timeout_ms=int(BOOTSTRAP_TIMEOUT_S * 1000),
            request_timeout_ms=int(kafka.request_timeout_s * 1000),
        )
    except KafkaError:
        raise NoBrokerError(
            f"No Kafka broker answered at {kafka.bootstrap_servers} within {BOOTSTRAP_TIMEOUT_S:g} s: "
            "start one, or set kafka.bootstrap_servers (HEADRACE_KAFKA_BOOTSTRAP_SERVERS)"
        ) from None
    try:
        yield client
    finally:
        client.close()
