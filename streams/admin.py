"""The administrative connection to the broker."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from streams.connection import connection_options, refusal
from streams.settings import Kafka

BOOTSTRAP_TIMEOUT_S = 5.0  # someone waits for the answer at a terminal
ASK_AGAIN_S = 0.1

Answer = TypeVar("Answer")


class NoBrokerError(RuntimeError):
    """No Kafka broker answered at the configured address."""


class UnwelcomeError(NoBrokerError):
    """One answered, and will not have us, neither now nor later: with this password or certificate."""


@contextmanager
def open_admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """An admin client, closed on exit.

    Raises:
        NoBrokerError: Nobody answered within 5 s, or not to us.
    """
    try:
        client = _connect(kafka)
    except KafkaError:
        if refused := refusal(kafka):
            raise (UnwelcomeError if refused.final else NoBrokerError)(refused.sentence) from None
        raise NoBrokerError(
            f"No Kafka broker answered at {kafka.bootstrap_servers} within {BOOTSTRAP_TIMEOUT_S:g} s: "
            "start one, or set kafka.bootstrap_servers (HEADRACE_KAFKA_BOOTSTRAP_SERVERS)"
        ) from None
    try:
        yield client
    finally:
        client.close()


def _connect(kafka: Kafka) -> KafkaAdminClient:
    """A client by the first server that answers, in any order; each has its share of the time.

    kafka-python (3.0.12) takes one at random and gives it all of the time, though its node may be frozen.
    """
    servers, failure = kafka.bootstrap_servers.split(","), KafkaError()
    for server in random.sample(servers, len(servers)):
        try:
            return _connect_by(server, BOOTSTRAP_TIMEOUT_S / len(servers), kafka)
        except KafkaError as error:
            failure = error
    raise failure


def _connect_by(server: str, timeout_s: float, kafka: Kafka) -> KafkaAdminClient:
    with ExitStack() as stack:

        def new_connections(**options: Any) -> KafkaNetClient:
            connections = KafkaNetClient(**options)
            stack.callback(connections.close)  # the admin client leaves its thread and sockets where it fails
            return connections

        client = KafkaAdminClient(
            **connection_options(kafka) | {"bootstrap_servers": server},
            bootstrap_timeout_ms=int(timeout_s * 1000),
            request_timeout_ms=int(kafka.request_timeout_s * 1000),
            kafka_client=new_connections,
        )
        stack.pop_all()
    return client


def ask(kafka: Kafka, question: Callable[[KafkaAdminClient], Answer]) -> Answer:
    """The answer to a question, asked again for ``request_timeout_s`` while there is none *for now*.

    So it is while a leader or a group's coordinator moves to another node, and for the first question that a
    new cluster is asked about a group. Each try has a client of its own (5 ms): kafka-python's keeps to the
    coordinator that it once found.

    Raises:
        NoBrokerError: Nobody answered.
        kafka.errors.KafkaError: The broker refused, or still had no answer in the end.
    """
    deadline_s = time.monotonic() + kafka.request_timeout_s
    while True:
        try:
            with open_admin(kafka) as admin:
                return question(admin)
        except (KafkaError, NoBrokerError) as error:
            unreachable = isinstance(error, NoBrokerError) and not isinstance(error, UnwelcomeError)
            for_now = unreachable or (isinstance(error, KafkaError) and error.retriable)
            if not for_now or time.monotonic() > deadline_s:
                raise
        time.sleep(ASK_AGAIN_S)
