"""Predictions come back from disk exactly as they went in, whatever happened in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.adapters.prediction_cache import PredictionCache, packed, unpacked
from audit.core.annotations import Predictions
from audit.core.table import objects
from audit.errors import ServiceError


def same(a: Predictions, b: Predictions) -> bool:
    return all(
        list(x) == list(y) if x.dtype == object else np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
        for x, y in zip(a.columns().values(), b.columns().values(), strict=True)
    )


def some(n: int, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    xyxy = rng.random((n, 4)).astype(np.float32).astype(np.float64) * 640
    score = rng.random(n).astype(np.float32).astype(np.float64)
    return Predictions(xyxy=xyxy.astype(np.float32).astype(float), label=rng.integers(0, 80, n), score=score)


rows = st.lists(
    st.tuples(
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
        st.integers(-1, 2**31 - 1),
        st.floats(0, 1) | st.floats(0, 1, width=32),
        st.none() | st.binary(max_size=50),
    ),
    max_size=20,
)


def test_skeletons_and_turned_boxes_come_back() -> None:
    def ring(k: int) -> np.ndarray:
        return np.random.default_rng(k).random((k, 2)) * 640

    table = some(4).replace(
        points=objects([(ring(17), ring(17)), None, (ring(4),), (ring(0), ring(0))]), rotation=[0, 0, 30.25, 0]
    )
    back = unpacked(packed(table))
    assert back is not None
    assert back.rotation.tolist() == [0, 0, 30.25, 0]
    assert np.array_equal(back.xyxy, table.xyxy)
    for mine, theirs in zip(table.points, back.points, strict=True):
        assert (mine is None) == (theirs is None)
        assert all(np.array_equal(a, b) for a, b in zip(mine or (), theirs or (), strict=True))
    assert unpacked(packed(some(3))).points.tolist() == [None] * 3  # type: ignore[union-attr]  # not None here


@settings(max_examples=200, deadline=None)
@given(rows)
def test_what_is_unpacked_is_what_was_packed(values: list[Any]) -> None:
    table = Predictions(
        xyxy=[v[0] for v in values],
        label=[v[1] for v in values],
        score=[v[2] for v in values],
        mask=objects(v[3] for v in values),
    )
    back = unpacked(packed(table))
    assert back is not None
    assert same(back, table)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text("0123456789abcdef", min_size=1, max_size=64), rows, max_size=5))
def test_get_gives_what_was_put(tables: dict[str, list[Any]]) -> None:
    put = {
        k: Predictions(
            xyxy=[r[0] for r in v], label=[r[1] for r in v], score=[r[2] for r in v], mask=objects(r[3] for r in v)
        )
        for k, v in tables.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        cache = PredictionCache(Path(folder))
        cache.put("model", put)
        found = cache.get("model", list(put))
        cache.close()
    assert found.keys() == put.keys()
    assert all(same(found[k], put[k]) for k in put)


def test_nothing_asked_or_put_is_nothing(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {})
    assert cache.get("m", []) == {}
    assert cache.get("m", ["unknown"]) == {}


def test_no_predictions_are_an_answer_too(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {"a": Predictions()})
    assert len(cache.get("m", ["a"])["a"]) == 0


def test_models_are_told_apart_and_the_last_put_counts(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {"a": some(3)})
    cache.put("m", {"a": some(4)})
    assert cache.get("other", ["a"]) == {}
    assert len(cache.get("m", ["a", "a"])["a"]) == 4


def test_more_images_than_sqlite_takes_variables(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {f"{i:064x}": some(2, i) for i in range(1200)})
    assert len(cache.get("m", [f"{i:064x}" for i in range(1300)])) == 1200


def test_a_typical_image_takes_about_a_kilobyte() -> None:
    assert 500 < len(packed(some(50))) < 1300


def test_another_process_sees_it(tmp_path: Path) -> None:
    first, second = PredictionCache(tmp_path), PredictionCache(tmp_path)
    first.put("m", {"a": some(3)})
    second.put("m", {"b": some(3)})
    assert set(first.get("m", ["a", "b"])) == {"a", "b"}


WRITER = """
import sys
from pathlib import Path
from audit.adapters.prediction_cache import PredictionCache
from audit.core.annotations import Predictions
cache = PredictionCache(Path(sys.argv[1]))
for i in range(10**6):
    rows = Predictions(xyxy=[[i, 0, i + 1, 1]] * 30, label=[i % 80] * 30, score=[0.5] * 30)
    cache.put(sys.argv[2], {str(i): rows})
    print(i, flush=True)
"""


def test_two_writers_killed_at_any_moment_lose_nothing_that_was_put(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    said = []
    try:
        for writer in writers:
            assert writer.stdout is not None
            said.append(writer.stdout.readline())
            assert said[-1], "the writer did not start"
        time.sleep(0.5)
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
    # a slow disk may have let a writer say no more than its first line; the last may be cut
    texts = [first + w.communicate()[0] for first, w in zip(said, writers, strict=True)]
    last = [int(text[: text.rindex("\n")].splitlines()[-1]) for text in texts]
    cache = PredictionCache(tmp_path)
    for name, n in zip(("one", "two"), last, strict=True):
        found = cache.get(name, [str(i) for i in range(n + 1)])
        assert len(found) == n + 1
        assert found[str(n)].xyxy[0, 0] == n
    assert cache.notes == ()


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path, damage: bytes) -> None:
    path = PredictionCache(tmp_path).path
    for file in tmp_path.iterdir():
        file.unlink()
    path.write_bytes(damage)
    cache = PredictionCache(tmp_path)
    cache.put("m", {"a": some(3)})
    assert len(cache.get("m", ["a"])["a"]) == 3
    assert "damaged" in cache.notes[0]
    assert [p.read_bytes() for p in tmp_path.glob("*.damaged-*")] == [damage]


def test_damage_found_only_when_reading_is_survived_too(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {f"{i:064x}": some(50, i) for i in range(500)})
    cache.close()
    data = bytearray(cache.path.read_bytes())
    data[8192:] = b"\xee" * (len(data) - 8192)
    cache.path.write_bytes(data)
    again = PredictionCache(tmp_path)
    assert again.get("m", [f"{i:064x}" for i in range(500)]) == {}
    assert len(again.notes) == 1
    again.put("m", {"a": some(3)})
    assert len(again.get("m", ["a"])) == 1


def test_a_damaged_row_is_as_if_it_was_not_there(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path)
    cache.put("m", {"a": some(3), "b": some(3)})
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE predictions SET data = substr(data, 1, length(data) - 1) WHERE image = 'a'")
    assert set(cache.get("m", ["a", "b"])) == {"b"}


def test_bytes_changed_anywhere_are_noticed() -> None:
    data = packed(some(20))
    for i in range(len(data)):
        assert unpacked(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]) is None
    assert unpacked(b"") is None


def test_a_folder_that_cannot_be_used_is_a_service_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="prediction cache"):
        PredictionCache(tmp_path / "file" / "cache")
