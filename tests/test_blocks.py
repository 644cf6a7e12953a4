"""Annotations in any order are sorted by frame on disk, and read back by blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from audit import blocks
from audit.blocks import FrameTable, Sorter
from audit.core.annotations import Annotations
from audit.core.table import objects
from audit.runs import from_arrow
from tests.scenes import scene
from tests.test_runs import same

LABELS = ("a", "b", "c", "never used")


def shapes(frame: list[int]) -> Annotations:
    n = len(frame)
    rng = np.random.default_rng(n)
    rings = [None if i % 2 else (rng.normal(size=(3, 2)), rng.normal(size=(4, 2))) for i in range(n)]
    return Annotations(
        xyxy=rng.normal(size=(n, 4)),
        frame=np.array(frame),
        label=np.arange(n) % 3,
        annotation_id=np.arange(n) - 1,
        points=objects(rings),
        mask=objects(b"mask" if i % 3 == 0 else None for i in range(n)),
        crowd=np.arange(n) % 4 == 0,
        digest=objects(f"digest {i}" for i in range(n)),
    )


def written(path: Path, *pieces: Annotations) -> Path:
    with Sorter(path) as sorter:
        for piece in pieces:
            sorter.add(piece, LABELS)
        sorter.write(path / "a.parquet", LABELS)
    assert [p.name for p in path.iterdir()] == ["a.parquet"]
    return path / "a.parquet"


def test_nothing_is_an_empty_file_of_all_columns(tmp_path: Path) -> None:
    path = written(tmp_path)
    same(Annotations(), from_arrow(pq.read_table(path), Annotations, LABELS))
    with FrameTable(path, Annotations, LABELS) as table:
        assert len(table.read(0, 10)) == 0


@pytest.mark.parametrize(("block", "piece"), [(512, 1 << 14), (2, 3), (1, 1)])
def test_any_order_becomes_that_of_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, piece: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_FRAMES", block)
    monkeypatch.setattr(blocks, "PIECE", piece)
    one, two = shapes([5, 0, 9, 5, 0, 3]), shapes([9, 0, 700])
    path = written(tmp_path, one, two, Annotations())
    together = Annotations.concat([one, two])
    expected = together[np.argsort(together.frame, kind="stable")]
    same(expected, from_arrow(pq.read_table(path), Annotations, LABELS))
    with FrameTable(path, Annotations, LABELS) as table:
        for start, stop in ((0, 1), (0, 6), (4, 9), (9, 701), (10, 20)):
            same(expected[(expected.frame >= start) & (expected.frame < stop)], table.read(start, stop))


def test_every_so_many_frames_and_not_all_columns(tmp_path: Path) -> None:
    path = written(tmp_path, shapes([5, 0, 9, 5, 0, 3]))
    with FrameTable(path, Annotations, LABELS, without=("digest",)) as table:
        part = table.read(0, 10, 3)
    assert part.frame.tolist() == [0, 0, 3, 9]
    assert part.digest.tolist() == [""] * 4


def test_the_names_in_use_are_known_before_anything_is_written(tmp_path: Path) -> None:
    snapshot, _ = scene(1, frames=3)
    with Sorter(tmp_path) as sorter:
        assert sorter.names == frozenset()
        sorter.add(shapes([1, 2]), LABELS)
        sorter.add(snapshot.annotations[:0], snapshot.labels)
        assert sorter.names == {"a", "b"}
