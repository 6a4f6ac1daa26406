"""Samples of foreign events: the newest records of topics, or the lines of a file."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from aiokafka.structs import TopicPartition
from msgspec import Struct

from streams.delivery.restore import open_reader, read_from
from streams.settings import Kafka

Progress = Callable[[int], None]
"""Hears of how many more records have been read."""


class SampleError(RuntimeError):
    """There is nothing to look at."""


class EmptyError(SampleError):
    """A topic holds nothing yet."""


class Sampled(Struct, frozen=True):
    """A record of a foreign topic."""

    value: bytes
    partition: int = 0
    offset: int = 0
    ts_ms: int = -1
    """The broker's time of the record; negative where unknown."""
    key: bytes | None = None


async def sample_topic(kafka: Kafka, topic: str, records: int, progress: Progress) -> list[Sampled]:
    """The newest records of a topic, about as many of each partition; records without a value are left out.

    Raises:
        SampleError: The topic is not there, or empty (``EmptyError``).
        aiokafka.errors.KafkaError: The broker failed.
    """
    async with open_reader(kafka) as reader:
        # The metadata of all topics: some brokers create a topic that is asked for by its name.
        metadata = await reader._client.fetch_all_metadata()
        numbers = sorted(metadata.partitions_for_topic(topic) or ())
        if not numbers:
            raise SampleError(f"The broker at {kafka.bootstrap_servers} has no topic `{topic}`")
        places = [TopicPartition(topic, number) for number in numbers]
        first, last = await reader.beginning_offsets(places), await reader.end_offsets(places)
    spans = _spans({place: last[place] - first[place] for place in places}, records)
    found = []
    for place, span in spans.items():
        if not span:
            continue
        async for record in read_from(kafka, place, last[place] - span, last[place]):
            if record.value is not None:
                found.append(
                    Sampled(record.value, place.partition, record.offset, record.timestamp, record.key)
                )
            progress(1)
    if not found:
        raise EmptyError(f"Topic `{topic}` holds no records: let its producers send some first")
    return found


def sample_file(path: Path, records: int, progress: Progress) -> list[Sampled]:
    """The first lines of a file of JSON Lines (.gz too), blank ones left out.

    Raises:
        SampleError: It cannot be read, or has no lines.
    """
    found: list[Sampled] = []
    try:
        for number, line in enumerate(_lines(path)):
            if len(found) == records:
                break
            if not line.isspace():
                found.append(Sampled(line.rstrip(b"\r\n"), offset=number))
                progress(1)
    except (OSError, EOFError) as error:
        raise SampleError(f"{path}: expected JSON Lines, plain or gzip: {error}") from None
    if not found:
        raise SampleError(f"{path}: expected lines of JSON, got none")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with (
        path.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else nullcontext(raw) as lines,
    ):
        yield from lines


def _spans(sizes: dict[TopicPartition, int], records: int) -> dict[TopicPartition, int]:
    """How many offsets to read of each partition: what a small one lacks, the others make up for.

    >>> _spans({"a": 1, "b": 50}, 10)
    {'a': 1, 'b': 9}
    """
    left, spans = records, {}
    for number, place in enumerate(sorted(sizes, key=lambda place: sizes[place])):
        spans[place] = min(sizes[place], -(-left // (len(sizes) - number)))
        left -= spans[place]
    return spans
