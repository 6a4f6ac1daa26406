"""Public logs of exposures and clicks as hashed examples. They are read where the user has put them."""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.features import log_bin
from models.hashing import bucket_of, mix, stable_key

CRITEO_FILES = ("train.tsv.gz", "dev.tsv.gz", "test.tsv.gz")
CRITEO_NUMBERS, CRITEO_WORDS = 13, 26
TALKINGDATA_FILE = "train_sample.csv.gz"
TALKINGDATA_WORDS = ("ip", "app", "device", "os", "channel")


class LogError(ValueError):
    """A log is not where it should be, or is something else."""


class HashedLog(NamedTuple):
    """A log as the learners get it: every feature is a bucket with the value 1."""

    fields: tuple[str, ...]
    """Names of the features, crosses included, in the order of the columns."""
    tokens: NDArray[np.int64]
    """int64[n, m]: what was hashed; for a cross a key of both sides."""
    buckets: NDArray[np.uint32]
    """uint32[n, m]."""
    labels: NDArray[np.bool_]
    """bool[n]."""


def criteo(directory: Path, bits: int) -> HashedLog:
    """The first 8,000 lines of Criteo's log of 2014: 13 numbers, 26 words, no time.

    No crosses: the columns have no names to choose any by.

    Raises:
        LogError: A file is missing, or a line has not 40 columns.
    """
    rows, labels = [], []
    for name in CRITEO_FILES:
        for line in _rows(directory / "criteo_8k" / name, "\t", 1 + CRITEO_NUMBERS + CRITEO_WORDS):
            labels.append(line[0] == "1")
            numbers = [1 + log_bin(float(text)) if text else 0 for text in line[1 : 1 + CRITEO_NUMBERS]]
            rows.append(numbers + [stable_key(text) for text in line[1 + CRITEO_NUMBERS :]])
    fields = (*(f"I{i + 1}" for i in range(CRITEO_NUMBERS)), *(f"C{i + 1}" for i in range(CRITEO_WORDS)))
    return hashed(fields, np.array(rows), (), np.array(labels), bits)


def talkingdata(directory: Path, bits: int) -> HashedLog:
    """100,000 clicks of TalkingData's log of 2017 in order of time; the label is an installed app.

    Raises:
        LogError: The file is missing, or a line has not 8 columns.
    """
    lines = _rows(directory / "talkingdata_100k" / TALKINGDATA_FILE, ",", 8)
    next(lines)
    read = sorted(lines, key=lambda line: line[5])
    rows = [
        [
            *(stable_key(text) for text in line[:5]),
            1 + datetime.fromisoformat(line[5]).replace(tzinfo=UTC).hour,
        ]
        for line in read
    ]
    crosses = (("app", "channel"), ("app", "os"), ("ip", "app"), ("ip", "device"))
    labels = np.array([line[7] == "1" for line in read])
    return hashed((*TALKINGDATA_WORDS, "hour"), np.array(rows), crosses, labels, bits)


LOGS: dict[str, Callable[[Path, int], HashedLog]] = {"criteo": criteo, "talkingdata": talkingdata}


def hashed(
    fields: Sequence[str],
    tokens: NDArray[np.int64],
    crosses: Sequence[tuple[str, str]],
    labels: NDArray[np.bool_],
    bits: int,
) -> HashedLog:
    """``tokens``, int64[n, len(fields)], with a bias before them and crosses behind, hashed."""
    sides = np.array([[1 + fields.index(left), 1 + fields.index(right)] for left, right in crosses], np.int64)
    with_bias = np.concatenate([np.zeros((len(tokens), 1), np.int64), tokens], axis=1)
    all_tokens = _cross(with_bias, sides.reshape(-1, 2))
    names = ("bias", *fields, *(f"{left} x {right}" for left, right in crosses))
    return HashedLog(names, all_tokens, _hash(all_tokens, (1 << bits) - 1), labels)


@njit(cache=True)
def _cross(tokens: NDArray[np.int64], sides: NDArray[np.int64]) -> NDArray[np.int64]:
    n, m = tokens.shape
    out = np.empty((n, m + len(sides)), np.int64)
    for i in range(n):
        out[i, :m] = tokens[i]
        for j in range(len(sides)):
            left, right = np.uint64(tokens[i, sides[j, 0]]), np.uint64(tokens[i, sides[j, 1]])
            out[i, m + j] = np.int64(mix(mix(left) ^ right) >> np.uint64(1))
    return out


@njit(cache=True)
def _hash(tokens: NDArray[np.int64], mask: int) -> NDArray[np.uint32]:
    out = np.empty(tokens.shape, np.uint32)
    for i in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            out[i, j] = bucket_of(j, tokens[i, j], mask)
    return out


def _rows(path: Path, delimiter: str, columns: int) -> Iterator[list[Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            for number, line in enumerate(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE), 1):
                if len(line) != columns:
                    raise LogError(
                        f"Expected {columns} columns, got {len(line)} - in {path.name}, line {number}"
                    )
                yield line
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}; expected the log there") from None
