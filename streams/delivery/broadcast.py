"""A topic that every worker reads whole: the catalogue, the model's weights."""

from collections.abc import Callable
from typing import Any

import mode
from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.delivery.clients import new_reader
from streams.delivery.restore import partition_numbers
from streams.settings import Kafka

POLL_MS = 250


class Broadcast(mode.Service):
    """Reads a topic from the beginning to its end before it counts as started, then follows it.

    ``apply`` is called with each record, in order, on the event loop. It needs no consumer group and no
    Faust table: a record is applied again after each start. An error in ``apply`` ends the worker.
    """

    def __init__(
        self, kafka: Kafka, topic: str, apply: Callable[[ConsumerRecord], None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.topic = topic
        self._apply = apply
        self._reader: Any = None
        self._kafka = kafka

    async def on_start(self) -> None:
        self._reader = new_reader(self._kafka)
        await self._reader.start()
        numbers = await partition_numbers(self._reader, self.topic)
        tps = [TopicPartition(self.topic, number) for number in numbers]
        self._reader.assign(tps)
        await self._reader.seek_to_beginning(*tps)
        ends = await self._reader.end_offsets(tps)
        while any([await self._reader.position(tp) < ends[tp] for tp in tps]):
            await self._poll()

    @mode.Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            await self._poll()

    async def _poll(self) -> None:
        for records in (await self._reader.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                self._apply(record)

    async def on_stop(self) -> None:
        if self._reader is not None:
            await self._reader.stop()
