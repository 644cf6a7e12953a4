"""Comparing block by block, through files, finds what one comparison of everything in memory finds."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit import comparing
from audit.checks import ALL_TYPES, find, with_reasons, witnesses
from audit.checks.evidence import FLOOR, combine, gather
from audit.checks.tables import Look
from audit.comparing import Comparison, Outcome, compare
from audit.core.annotations import Annotations, Predictions, Snapshot
from audit.core.findings import Findings, FindingType
from audit.looking import Looking, Thumbnail
from audit.runs import from_arrow, pq, rows_of, write_table
from tests.scenes import scene


class Silent:
    """No progress at all."""

    @contextmanager
    def task(self, description: str, total: int | None):
        yield lambda steps=1: None

    def note(self, line: str) -> None:
        pass


def through_files(
    tmp_path: Path,
    snapshot: Snapshot,
    predictions: Predictions,
    thumbnail: Thumbnail | None = None,
    types: Collection[FindingType] = ALL_TYPES,
) -> Findings:
    write_table(tmp_path / "p.parquet", predictions, snapshot.labels)
    write_table(tmp_path / "a.parquet", snapshot.annotations, snapshot.labels)
    knows, audited = np.ones((1, len(snapshot.labels)), bool), np.ones(len(snapshot.frames), bool)
    without = replace(snapshot, annotations=Annotations())
    comparison = Comparison(without, knows, audited, tmp_path / "a.parquet", tmp_path / "p.parquet")
    out = tmp_path / "f.parquet"
    outcome = compare(comparison, out, types=types, floor=FLOOR, progress=Silent(), thumbnail=thumbnail)
    found = from_arrow(pq.read_table(out), Findings, snapshot.labels)
    assert outcome == Outcome(len(snapshot.annotations), len(predictions), len(found), {})
    left = {p.name for p in tmp_path.iterdir()} - {"calibration.json"}
    assert left == {"a.parquet", "f.parquet", "p.parquet"}
    return found


def at_once(snapshot: Snapshot, predictions: Predictions, look: Look | None = None) -> Findings:
    hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    judged = np.ones(len(snapshot.annotations), bool)
    evidence = combine([gather(snapshot.annotations, predictions, judged=judged, frame_hw=hw, look=look)])
    found = find(evidence, snapshot)
    return with_reasons(found, snapshot, hw, witnesses(found, evidence))


@pytest.mark.parametrize(("block", "piece"), [(512, 1 << 16), (7, 50), (1, 3)])
def test_blocks_and_files_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, piece: int
) -> None:
    monkeypatch.setattr(comparing, "BLOCK_FRAMES", block)
    monkeypatch.setattr(comparing, "FINDINGS_AT_ONCE", piece)
    snapshot, predictions = scene(5, frames=40)
    expected, found = at_once(snapshot, predictions), through_files(tmp_path, snapshot, predictions)
    assert len(found) > 50
    assert_same(expected, found)


def assert_same(expected: Findings, found: Findings) -> None:
    for name, column in expected.columns().items():
        other = found.columns()[name]
        if column.dtype.kind == "f":  # a sum of the same numbers may differ in its last bit with the size of the block
            assert np.allclose(column, other, rtol=0, atol=1e-12, equal_nan=True), name
        else:
            assert np.array_equal(column, other), name


class Pictures:
    """Noise for every file, and which files were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path, hw: tuple[int, int]) -> np.ndarray:
        self.read.append(path.name)
        return np.random.default_rng(int(path.name)).integers(0, 256, (60, 60)).astype(np.uint8)


def with_paths(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, frames=snapshot.frames.replace(path=[str(i) for i in range(len(snapshot.frames))]))


def test_pictures_are_read_once_and_tell_the_same_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "BLOCK_FRAMES", 7)
    snapshot, predictions = scene(5, frames=40)
    snapshot, pictures = with_paths(snapshot), Pictures()
    found = through_files(tmp_path, snapshot, predictions, pictures)
    assert sorted(map(int, pictures.read)) == list(range(40))
    assert_same(at_once(snapshot, predictions, Looking(snapshot.frames, Pictures()).of), found)
    assert not np.array_equal(found.score, at_once(snapshot, predictions).score)


def test_pictures_of_the_right_frames_are_looked_at_where_a_sample_is_studied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "STUDY_FRAMES", 10)
    snapshot, predictions = scene(5, frames=40)
    pictures = Pictures()
    through_files(tmp_path, with_paths(snapshot), predictions, pictures)
    assert set(pictures.read[:10]) == {str(i) for i in range(0, 40, 4)}
    assert sorted(map(int, pictures.read)) == list(range(40))


def test_pictures_are_left_alone_where_they_tell_nothing(tmp_path: Path) -> None:
    snapshot, predictions = scene(5, frames=10)
    pictures = Pictures()
    plain = through_files(tmp_path, snapshot, predictions)
    assert_same(plain, through_files(tmp_path, snapshot, predictions, pictures))  # frames without a file
    through_files(tmp_path, with_paths(snapshot), predictions, pictures, types=(FindingType.MISSING_ANNOTATION,))
    assert not pictures.read


def test_of_many_frames_a_sample_is_studied_and_all_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, predictions = scene(6, frames=300)
    whole = through_files(tmp_path, snapshot, predictions)
    monkeypatch.setattr(comparing, "STUDY_FRAMES", 100)
    sampled = through_files(tmp_path, snapshot, predictions)
    both = set(whole.id[:200]) & set(sampled.id[:200])
    assert len(both) > 160
    frames = set(whole.frame.tolist())
    assert len(frames & set(sampled.frame.tolist())) > 0.95 * len(frames) > 250


def test_nothing_at_all(tmp_path: Path) -> None:
    snapshot, _ = scene(1, frames=3)
    empty = Snapshot(snapshot.source, snapshot.labels, snapshot.frames, Annotations())
    assert len(through_files(tmp_path, empty, Predictions())) == 0


def test_rows_come_in_the_order_asked(tmp_path: Path) -> None:
    _, predictions = scene(2, frames=30)
    write_table(tmp_path / "p.parquet", predictions, ("a",) * 5)
    rows = np.array([9, 3, 3, len(predictions) - 1, 0])
    assert rows_of(tmp_path / "p.parquet", rows)["score"].to_pylist() == predictions.score[rows].tolist()
    assert rows_of(tmp_path / "p.parquet", rows[:0]).num_rows == 0
