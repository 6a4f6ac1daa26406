"""Kafka records as columns of the ClickHouse tables."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from schemas import topics
from schemas.dead_letters import DeadLetter, decode_dead_letter
from schemas.decisions import Candidates, Decision, decode_decision
from schemas.model import Change, Progress, Quality, decode_model_record
from schemas.outcomes import Outcome, decode_outcome

Columns = dict[str, list[Any]]
Record = tuple[int, bytes | None]
"""Offset and value of a Kafka record; a value of None is a deletion."""


class RowsError(ValueError):
    """A record of one of Headrace's own topics does not have the shape of its struct."""


class _Table(msgspec.Struct, frozen=True):
    name: str
    struct: type[msgspec.Struct]
    shape: Callable[[list[Any]], Columns]


class _Destination(msgspec.Struct, frozen=True):
    decode: Callable[[bytes], Any]
    tables: tuple[_Table, ...]


def blocks(topic: str, partition: int, records: Sequence[Record]) -> dict[str, Columns]:
    """A topic's records as columns of the tables that they go to; a table without rows is left out.

    Args:
        topic: One of ``decisions``, ``outcomes``, ``dead-letters`` and ``model``.
        partition: Becomes ``topic_partition``.
        records: The offset becomes ``topic_offset``. Of ``model`` progress, quality and changes have rows.

    Raises:
        RowsError: A value cannot be decoded; names the record, holds nothing of the value.
        KeyError: The topic has no table.
    """
    destination = TOPICS[topic]
    found: dict[type[msgspec.Struct], tuple[list[int], list[Any]]] = {
        table.struct: ([], []) for table in destination.tables
    }
    for offset, value in records:
        if value is None:
            continue
        try:
            struct = destination.decode(value)
        except msgspec.DecodeError as error:
            raise RowsError(f"{topic}, partition {partition}, offset {offset}: {error}") from None
        if type(struct) in found:
            offsets, structs = found[type(struct)]
            offsets.append(offset)
            structs.append(struct)
    built = {}
    for table in destination.tables:
        offsets, structs = found[table.struct]
        if offsets:
            columns = table.shape(structs)
            columns["topic_partition"] = [partition] * len(offsets)
            columns["topic_offset"] = offsets
            built[table.name] = columns
    return built


def _transposed(structs: list[Any], fields: Sequence[str]) -> Columns:
    return {field: [getattr(struct, field) for struct in structs] for field in fields}


def _decisions(decisions: list[Decision]) -> Columns:
    built = _transposed(decisions, [field for field in Decision.__struct_fields__ if field != "candidates"])
    candidates = _transposed([decision.candidates for decision in decisions], Candidates.__struct_fields__)
    return built | {f"candidate_{field}": values for field, values in candidates.items()}


def _outcomes(outcomes: list[Outcome]) -> Columns:
    return _transposed(outcomes, Outcome.__struct_fields__)


def _dead_letters(letters: list[DeadLetter]) -> Columns:
    return {
        "source_topic": [letter.topic for letter in letters],
        "source_partition": [letter.partition for letter in letters],
        "source_offset": [letter.offset for letter in letters],
        "ts_ms": [letter.ts_ms for letter in letters],
        "reason": [letter.reason for letter in letters],
        "raw_base64": [b64encode(letter.raw).decode() for letter in letters],
    }


def _progress(progress: list[Progress]) -> Columns:
    return _transposed(progress, Progress.__struct_fields__)


def _quality(quality: list[Quality]) -> Columns:
    return _transposed(quality, Quality.__struct_fields__)


def _changes(changes: list[Change]) -> Columns:
    return _transposed(changes, Change.__struct_fields__)


TOPICS = {
    topics.DECISIONS.name: _Destination(decode_decision, (_Table("decisions", Decision, _decisions),)),
    topics.OUTCOMES.name: _Destination(decode_outcome, (_Table("outcomes", Outcome, _outcomes),)),
    topics.DEAD_LETTERS.name: _Destination(
        decode_dead_letter, (_Table("dead_letters", DeadLetter, _dead_letters),)
    ),
    topics.MODEL.name: _Destination(
        decode_model_record,
        (
            _Table("model_progress", Progress, _progress),
            _Table("model_quality", Quality, _quality),
            _Table("model_changes", Change, _changes),
        ),
    ),
}
"""What becomes of a topic's records."""
