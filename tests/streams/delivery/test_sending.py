import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.codec import zstd_encode
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from aiokafka.producer.sender import Sender
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from streams.delivery.clients import new_producer
from streams.delivery.sending import ZSTD_LEVEL, Batch, PatientSender
from streams.settings import Kafka


class BreakingClient:
    """A cluster that answers a lookup with these errors, one after the other, and then with a node."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def coordinator_lookup(self, kind: Any, key: str) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7

    async def ready(self, node: int, group: Any) -> bool:
        return True


async def coordinator(*errors: Exception) -> Any:
    made = PatientSender(
        BreakingClient(*errors), acks=-1, txn_manager=SimpleNamespace(transactional_id="t"),
        message_accumulator=None, retry_backoff_ms=1, request_timeout_ms=1000,
    )  # fmt: skip
    return await made._find_coordinator(0, "t")


def test_a_connection_that_breaks_during_a_lookup_is_no_end() -> None:
    """The coordinator is asked for again until it is known."""
    assert 7 == asyncio.run(coordinator(KafkaConnectionError("reset"), KafkaConnectionError("reset")))


def test_what_will_not_mend_itself_is_raised() -> None:
    """A right that is missing is no matter of patience."""
    with pytest.raises(GroupAuthorizationFailedError):
        asyncio.run(coordinator(GroupAuthorizationFailedError("t")))


class SlowBatch:
    """A batch that is built only once the event loop has gone on; no longer than a test may take."""

    def __init__(self) -> None:
        self.loop_went_on = threading.Event()
        self.built = False

    def get_data_buffer(self) -> None:
        self.built = self.loop_went_on.wait(timeout=10.0)


def test_the_event_loop_goes_on_while_batches_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressing holds up nobody, and is over before the request is made."""
    batch, requests = SlowBatch(), []

    async def request(self: Sender, node: int, batches: dict[str, SlowBatch]) -> None:
        requests.append((node, [each.built for each in batches.values()]))

    async def go() -> None:
        sending = asyncio.create_task(PatientSender._send_produce_req(maker, 7, {"p": batch}))
        await asyncio.sleep(0)
        batch.loop_went_on.set()
        await sending

    monkeypatch.setattr(Sender, "_send_produce_req", request)
    maker = PatientSender.__new__(PatientSender)
    asyncio.run(go())
    assert [(7, [True])] == requests


def test_our_producers_are_patient() -> None:
    """Every producer that we make has this sender."""

    async def made() -> object:
        return new_producer(Kafka())._sender

    assert isinstance(asyncio.run(made()), PatientSender)


def test_a_batch_extended_is_the_batch_of_its_messages() -> None:
    """Messages taken at once are the bytes of messages appended one by one, as far as there is room."""
    messages = [(None if i % 3 else b"u1", b"decision %d " % i * 9) for i in range(100)]

    async def batches() -> tuple[Any, Any]:
        producer = new_producer(Kafka())
        return producer.create_batch(), producer.create_batch()

    at_once, singly = asyncio.run(batches())
    assert isinstance(at_once, Batch)
    for batch in (at_once, singly):
        batch._builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 4096)
    taken = at_once.extend(messages, 10) - 10
    for key, value in messages[10 : 10 + taken]:
        assert singly.append(key=key, value=value, timestamp=None)
    assert singly.append(key=b"u1", value=messages[10 + taken][1], timestamp=None) is None
    assert (taken, True) == (at_once.record_count(), at_once.closed())
    assert values_of(singly) == values_of(at_once) == messages[10 : 10 + taken]


def values_of(batch: Any) -> list[tuple[bytes | None, bytes]]:
    return [(record.key, record.value) for record in DefaultRecordBatch(bytes(batch._build()))]


def records_of_batch(compression: int) -> bytes:
    """A batch of a hundred records without its header, whose size is fixed (KIP-98)."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for offset in range(100):
        assert builder.append(offset, timestamp=0, key=b"u1", value=b"decision %d " % offset * 9, headers=[])
    return bytes(builder.build())[61:]


def test_batches_are_compressed_at_our_level():
    """What the producer sends is zstd of the level that pays, not of aiokafka's."""
    plain, compressed = records_of_batch(0), records_of_batch(4)
    assert zstd_encode(plain, ZSTD_LEVEL) == compressed
    assert zstd_encode(plain) != compressed
