"""The run folder: what is written is read back, whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.annotations import Annotations, Predictions
from audit.core.findings import Findings
from audit.core.table import Table, objects
from audit.errors import ServiceError, UsageError
from audit.runs import (
    FORMAT_VERSION,
    RunFolder,
    atomic,
    describe,
    from_arrow,
    read_predictions,
    table_writer,
    to_arrow,
    write_manifest,
    write_table,
)  # fmt: skip
from tests.scenes import scene

LABELS = ("person", "<script>", "عربى", "")


def run_folder(path: Path) -> RunFolder:
    snapshot, predictions = scene(3, frames=9)
    for name, table in (("frames", snapshot.frames), ("annotations", snapshot.annotations)):
        write_table(path / f"{name}.parquet", table, snapshot.labels)
    write_table(path / "predictions.parquet", predictions, snapshot.labels)
    write_table(path / "findings.parquet", Findings(), snapshot.labels)
    write_manifest(path, {**describe(snapshot), "models": [{"name": "m", "digest": "", "labels": []}]})
    return RunFolder.open(path)


def same(a: Table, b: Table) -> None:
    for name, column in a.columns().items():
        other = b.columns()[name]
        if column.dtype.kind == "O":
            for x, y in zip(column, other, strict=True):
                assert np.array_equal(x, y) if not isinstance(x, tuple) else all(map(np.array_equal, x, y)), name
        else:
            assert np.array_equal(column, other, equal_nan=column.dtype.kind == "f"), name


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_annotations_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rings = [tuple(rng.normal(size=(rng.integers(1, 5), 2)) for _ in range(rng.integers(1, 3))) for _ in range(n)]
    table = Annotations(
        xyxy=np.where(rng.random((n, 4)) < 0.1, np.nan, rng.normal(size=(n, 4))),
        frame=np.arange(n),
        label=rng.integers(-1, len(LABELS), n),
        annotation_id=rng.integers(-1, 5, n),
        shape=rng.integers(0, 9, n),
        points=objects(r if rng.random() < 0.5 else None for r in rings),
        mask=objects(rng.bytes(4) if rng.random() < 0.5 else None for _ in range(n)),
        crowd=rng.random(n) < 0.5,
        source=objects(rng.choice(["manual", "é\n\x00"], n).tolist()),
    )
    path = tmp_path_factory.mktemp("run") / "annotations.parquet"
    write_table(path, table, LABELS)
    from audit.runs import from_arrow, pq

    same(table, from_arrow(pq.read_table(path), Annotations, LABELS))


def test_a_run_is_read_back(tmp_path: Path) -> None:
    snapshot, predictions = scene(3, frames=9)
    run = run_folder(tmp_path)
    same(snapshot.annotations, run.annotations())
    same(predictions, run.predictions())
    same(predictions[predictions.frame >= 7], run.predictions(7))
    rows = np.array([5, 1, 1])
    same(predictions[rows], run.predictions_at(rows))
    assert run.snapshot().source == snapshot.source
    assert run.models == ("m",)


def test_predictions_come_by_frames_from_pieces(tmp_path: Path) -> None:
    _, predictions = scene(4, frames=12)
    path = tmp_path / "p.parquet"
    with table_writer(path, Predictions, ("a",) * 5) as write:
        write(Predictions())
        for frame in range(12):
            write(predictions[predictions.frame == frame].replace(label=np.zeros((predictions.frame == frame).sum())))
    part = read_predictions(path, ("a",), 3, 8)
    assert np.array_equal(part.score, predictions.score[(predictions.frame >= 3) & (predictions.frame < 8)])


def test_duckdb_reads_the_tables_without_our_code(tmp_path: Path) -> None:
    run_folder(tmp_path)
    (n, labels, mean), = duckdb.sql(
        f"select count(*), count(distinct label), avg(x2 - x1) from '{tmp_path}/annotations.parquet'"
    ).fetchall()  # fmt: skip
    assert n == len(RunFolder.open(tmp_path).annotations())
    assert labels == 5
    assert mean > 0


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic(path, "w") as stream:
        stream.write("new")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"cannot write .*x: No space left on device"), atomic(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot write"), atomic(tmp_path / "file" / "x"):
        pass


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        RunFolder.open(tmp_path)
    (tmp_path / "export.zip").touch()
    with pytest.raises(UsageError, match="is not a run"):
        RunFolder.open(tmp_path / "export.zip")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        RunFolder.open(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(UsageError, match="run format"):
        RunFolder.open(tmp_path)


def test_findings_of_an_earlier_version_are_each_on_one_frame(tmp_path: Path) -> None:
    """Their table has no columns for frames of a video."""
    found = Findings(type=np.array([0]), frame=np.array([3]), score=np.array([0.5]))
    old = to_arrow(found, ("car",)).drop_columns(["frames", "first_frame", "last_frame"])
    again = from_arrow(old, Findings, ("car",))
    first, last = again.span()
    assert (again.frames.tolist(), first.tolist(), last.tolist()) == ([1], [3], [3])
