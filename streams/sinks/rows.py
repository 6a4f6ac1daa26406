"""Kafka records as columns of the ClickHouse tables."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from schemas import topics
from schemas.dead_letters import DeadLetter, decode_dead_letter
from schemas.decisions import Candidates, Decision, decode_decision
from schemas.model import Progress, decode_model_record
from schemas.outcomes import Outcome, decode_outcome

Columns = dict[str, list[Any]]
Record = tuple[int, bytes | None]
"""Offset and value of a Kafka record; a value of None is a deletion."""


class RowsError(ValueError):
    """A record of one of Headrace's own topics does not have the shape of its struct."""


class _Table(msgspec.Struct, frozen=True):
    name: str
    decode: Callable[[bytes], Any]
    struct: type[msgspec.Struct]
    shape: Callable[[list[Any]], Columns]


def columns(topic: str, partition: int, records: Sequence[Record]) -> tuple[str, Columns]:
    """The table that a topic's records go to, and the records as its columns.

    Args:
        topic: One of ``decisions``, ``outcomes``, ``dead-letters`` and ``model``.
        partition: Becomes ``topic_partition``.
        records: The offset becomes ``topic_offset``. Of ``model`` only progress has a row.

    Raises:
        RowsError: A value cannot be decoded; names the record, holds nothing of the value.
        KeyError: The topic has no table.
    """
    table = TABLES[topic]
    offsets, structs = [], []
    for offset, value in records:
        if value is None:
            continue
        try:
            struct = table.decode(value)
        except msgspec.DecodeError as error:
            raise RowsError(f"{topic}, partition {partition}, offset {offset}: {error}") from None
        if isinstance(struct, table.struct):
            offsets.append(offset)
            structs.append(struct)
    built = table.shape(structs)
    built["topic_partition"] = [partition] * len(offsets)
    built["topic_offset"] = offsets
    return table.name, built


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


TABLES = {
    topics.DECISIONS.name: _Table("decisions", decode_decision, Decision, _decisions),
    topics.OUTCOMES.name: _Table("outcomes", decode_outcome, Outcome, _outcomes),
    topics.DEAD_LETTERS.name: _Table("dead_letters", decode_dead_letter, DeadLetter, _dead_letters),
    topics.MODEL.name: _Table("model_progress", decode_model_record, Progress, _progress),
}
"""What becomes of a topic's records."""
