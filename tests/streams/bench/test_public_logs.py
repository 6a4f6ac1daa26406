"""Public logs as hashed examples, from files of the same shape."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from streams.bench.public_logs import LogError, criteo, hashed, talkingdata

CRITEO_LINE = ["1", *["5"] * 13, *["68fd1e64"] * 26]


def write_criteo(directory: Path, *lines: list[str]) -> None:
    folder = directory / "criteo_8k"
    folder.mkdir()
    for name, text in (("train", "\n".join(map("\t".join, lines)) + "\n"), ("dev", ""), ("test", "")):
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode()))


def write_talkingdata(directory: Path, *rows: str) -> None:
    folder = directory / "talkingdata_100k"
    folder.mkdir()
    header = "ip,app,device,os,channel,click_time,attributed_time,is_attributed"
    (folder / "train_sample.csv.gz").write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode()))


def test_criteo_has_a_bias_and_39_features(tmp_path: Path) -> None:
    """Missing and zero numbers and missing words are values of their own."""
    zero, missing, no_word = CRITEO_LINE.copy(), CRITEO_LINE.copy(), CRITEO_LINE.copy()
    zero[1], missing[1], no_word[14] = "0", "", ""
    write_criteo(tmp_path, CRITEO_LINE, zero, missing, no_word, ["0", *CRITEO_LINE[1:]])
    log = criteo(tmp_path, bits=18)
    assert (5, 40) == log.buckets.shape
    assert [True, True, True, True, False] == log.labels.tolist()
    assert 3 == len(set(log.tokens[:3, 1].tolist()))
    assert log.tokens[3, 14] not in log.tokens[:3, 14]
    assert log.buckets[0].tolist() == log.buckets[4].tolist()


def test_talkingdata_is_in_order_of_time(tmp_path: Path) -> None:
    """Rows are sorted by the time of the click, with the label's column and four crosses."""
    write_talkingdata(
        tmp_path,
        "1,2,3,4,5,2017-11-08 10:00:00,,0",
        "1,2,3,4,5,2017-11-07 09:30:38,2017-11-07 10:05:22,1",
        "9,2,3,4,5,2017-11-09 10:59:59,,0",
    )
    log = talkingdata(tmp_path, bits=18)
    assert [True, False, False] == log.labels.tolist()
    assert ("bias", "ip", "app", "device", "os", "channel", "hour") == log.fields[:7]
    assert ("app x channel", "app x os", "ip x app", "ip x device") == log.fields[7:]
    changed = {name for name, a, b in zip(log.fields, log.tokens[1], log.tokens[2], strict=True) if a != b}
    assert {"ip", "ip x app", "ip x device"} == changed


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    """What is not there is an error with its path."""
    with pytest.raises(LogError, match=r"criteo_8k.train\.tsv\.gz: .* expected the log there"):
        criteo(tmp_path, bits=18)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A line of another shape is an error with its number, and without what it holds."""
    write_criteo(tmp_path, CRITEO_LINE, ["secret", "2"])
    with pytest.raises(LogError, match=r"Expected 40 columns, got 2 - in train\.tsv\.gz, line 2") as caught:
        criteo(tmp_path, bits=18)
    assert "secret" not in str(caught.value)


def test_a_cross_is_a_feature_of_both_its_sides() -> None:
    """A cross has another bucket as soon as one of its sides has another token, and goes by sides' order."""
    tokens = np.array([[1, 2], [1, 3], [4, 2], [2, 1]])
    log = hashed(("a", "b"), tokens, (("a", "b"),), np.zeros(4, np.bool_), bits=20)
    assert ("bias", "a", "b", "a x b") == log.fields
    assert 4 == len(set(log.buckets[:, 3].tolist()))
    assert 1 == len(set(log.buckets[:, 0].tolist()))
