"""Reading a few rows and columns of a run gives what reading all of it gives."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from audit.core.annotations import Annotations, Frames, ShapeType
from audit.core.findings import Findings
from audit.core.table import objects
from audit.report.rows import FindingRows, iter_finding_rows
from audit.run_rows import (
    SortedIds,
    annotations_filled,
    finding_blocks,
    finding_keys,
    findings_named,
    frames_told,
    plain_annotations,
    told_frames,
    without_labels,
)
from audit.runs import BATCH_ROWS, RunFolder
from tests.report.conftest import save_run

N = 2 * BATCH_ROWS + 100
MakeRun = Callable[[int], RunFolder]


@pytest.fixture
def run_with(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """A run with so many findings, ranked, on a tenth as many frames."""

    def made(n: int) -> RunFolder:
        rng, frames = np.random.default_rng(n), n // 10 + 1
        told = Frames(name=[f"{i}.jpg" for i in range(frames)], number=range(5, frames + 5), job=[7] * frames)
        found = Findings(
            type=rng.integers(0, 6, n),
            frame=rng.integers(0, frames, n),
            score=np.sort(rng.random(n))[::-1],
            label=rng.integers(-1, 4, n),
            suggested_label=rng.integers(-1, 4, n),
            reason=[f"a sentence that says why {i} is so, at some length" for i in range(n)],
        )
        return save_run(tmp_path_factory.mktemp("run"), frames=told, findings=found)

    return made


def equal(one: Findings, other: Findings) -> bool:
    columns = one.columns().items()
    return all(np.array_equal(v, other.columns()[k], equal_nan=v.dtype.kind == "f") for k, v in columns)


def test_a_run_without_findings(run_with: MakeRun) -> None:
    run = run_with(0)
    assert len(finding_keys(run)) == 0 and findings_named(run, ["ab"]) == {} and len(SortedIds(run)) == 0
    assert list(finding_blocks(run, np.zeros(0, np.int64))) == []
    assert list(iter_finding_rows(run)) == []
    assert len(frames_told(told_frames(run), np.zeros(0, np.int64))) == 0


def test_keys_are_the_columns_of_all_findings(run_with: MakeRun) -> None:
    run = run_with(N)
    keys, whole = finding_keys(run), run.findings()
    for name in ("type", "frame", "score", "label", "suggested_label"):
        assert np.array_equal(getattr(keys, name), getattr(whole, name))


@pytest.mark.parametrize("n", [1, 100, N])
@pytest.mark.parametrize("order", ["file", "backwards", "any", "twice"])
def test_blocks_are_the_rows_asked_for_in_their_order(run_with: MakeRun, n: int, order: str) -> None:
    run, rng = run_with(N), np.random.default_rng(1)
    some = np.sort(rng.permutation(N)[:n])
    rows = {"file": some, "backwards": some[::-1], "any": rng.permutation(some), "twice": np.repeat(some, 2)}[order]
    assert equal(Findings.concat(finding_blocks(run, rows)), run.findings()[rows])


def test_findings_are_found_by_id(run_with: MakeRun) -> None:
    run = run_with(N)
    ids = run.findings().id
    wanted = {int(row): str(ids[row]) for row in (0, BATCH_ROWS, N - 1)}
    assert findings_named(run, [*wanted.values(), "no such id"]) == wanted
    assert findings_named(run, []) == {}


def test_ids_are_sorted_and_count_like_a_list(run_with: MakeRun) -> None:
    run = run_with(N)
    ids, told = SortedIds(run), sorted(run.findings().id.tolist())
    assert list(ids) == told and ids[3:8] == told[3:8] and ids[-1] == told[-1]


def test_of_some_frames_only_what_is_told(run_with: MakeRun) -> None:
    run = run_with(100)
    some, whole = frames_told(told_frames(run), np.array([9, 2])), run.frames()
    assert some.name.tolist() == ["9.jpg", "2.jpg"]
    for name in ("number", "task", "job"):
        assert getattr(some, name).tolist() == getattr(whole, name)[[9, 2]].tolist()


def test_the_first_rows_of_a_list_are_read_alone(run_with: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def watched(run: RunFolder, rows: np.ndarray) -> object:
        for block in finding_blocks(run, rows):
            read.append(len(block))
            yield block

    monkeypatch.setattr("audit.report.rows.finding_blocks", watched)
    rows = iter_finding_rows(run_with(N))
    assert len(rows) == N and isinstance(rows, FindingRows)
    assert len(list(islice(rows, 50))) == 50
    assert read == [BATCH_ROWS]


def test_memory_does_not_grow_with_the_list(run_with: MakeRun) -> None:
    def peak(run: RunFolder) -> int:
        tracemalloc.start()
        count = sum(1 for _ in iter_finding_rows(run))
        told = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == len(finding_keys(run))
        return told

    few, many = run_with(2 * BATCH_ROWS), run_with(6 * BATCH_ROWS)
    peak(few)  # what is loaded once
    more = (peak(many) - peak(few)) / (4 * BATCH_ROWS)
    assert more < 100  # bytes a finding; its keys took 43, the table with ids, reasons and boxes took 440


def shapes() -> Annotations:
    """Eight shapes of which two share an id, all with outlines, sources and digests of their own."""
    ring = np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]])
    return Annotations(
        xyxy=[[i, 0, i + 9, 9] for i in range(8)],
        frame=[0] * 8,
        label=[0] * 8,
        annotation_id=[1, 2, 3, 4, 5, 6, 7, 2],
        shape=[ShapeType.POLYGON] * 8,
        points=objects((ring + i,) for i in range(8)),
        source=[f"source {i}" for i in range(8)],
        digest=[f"digest {i}" for i in range(8)],
    )


@pytest.mark.parametrize(("rows", "filled"), [([], []), ([0], [0]), ([1], [1, 7]), ([7, 3, 3], [1, 3, 7])])
def test_outlines_and_digests_stand_where_they_are_asked_for(
    tmp_path: Path, rows: list[int], filled: list[int]
) -> None:
    run = save_run(tmp_path, Frames(name=["a.jpg"], number=[0]), shapes())
    some, whole = annotations_filled(run, np.array(rows, np.int64)), run.annotations()
    for name in ("xyxy", "frame", "label", "annotation_id", "shape", "rotation", "crowd", "track", "occluded"):
        assert np.array_equal(getattr(some, name), getattr(whole, name))
    told = [d for d in some.digest.tolist() if d]
    assert told == [f"digest {i}" for i in filled]
    assert [i for i, rings in enumerate(some.points) if rings is not None] == filled
    assert all(np.array_equal(some.points[i][0], whole.points[i][0]) for i in filled)
    assert [some.source[i] for i in filled] == [f"source {i}" for i in filled]


def test_a_run_without_labels_has_none_to_fill(tmp_path: Path) -> None:
    assert len(plain_annotations(save_run(tmp_path))) == 0


def test_frames_without_paths_and_digests(tmp_path: Path) -> None:
    run = save_run(tmp_path, Frames(name=["a.jpg"], number=[3], path=["/x/a.jpg"], sha256=["ab"], job=[7]))
    told = run.frames(files=False)
    assert (told.name[0], told.number[0], told.job[0]) == ("a.jpg", 3, 7)
    assert (told.path[0], told.sha256[0]) == ("", "")


def test_where_something_is_needs_no_labels(tmp_path: Path) -> None:
    run = save_run(tmp_path, Frames(name=["a.jpg"], number=[3], task=[42], job=[7], path=["/x/a.jpg"]), shapes()[:0])
    told, whole = without_labels(run), run.snapshot()
    assert (told.frame_link(0), told.jobs, told.problems) == (whole.frame_link(0), whole.jobs, whole.problems)
    assert (len(told.annotations), told.frames.path[0]) == (0, "")
