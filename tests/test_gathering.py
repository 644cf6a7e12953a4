"""Through files and block by block, the mistakes of a video come out as one finding for each cause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit import blocks, comparing, gathering
from audit.checks import ALL_TYPES
from audit.checks.evidence import FLOOR
from audit.comparing import Comparison, compare
from audit.core.annotations import Annotations, Predictions, Snapshot
from audit.core.findings import Findings, FindingType
from audit.runs import from_arrow, pq, write_table
from tests.scenes import scene
from tests.test_comparing import Silent
from tests.videos import Cause, Video, video


def findings_of(folder: Path, snapshot: Snapshot, predictions: Predictions) -> Findings:
    folder.mkdir(exist_ok=True)
    write_table(folder / "p.parquet", predictions, snapshot.labels)
    write_table(folder / "a.parquet", snapshot.annotations, snapshot.labels)
    knows, audited = np.ones((1, len(snapshot.labels)), bool), np.ones(len(snapshot.frames), bool)
    without = replace(snapshot, annotations=Annotations())
    comparison = Comparison(without, knows, audited, folder / "a.parquet", folder / "p.parquet")
    compare(comparison, folder / "f.parquet", types=ALL_TYPES, floor=FLOOR, progress=Silent())
    found: Findings = from_arrow(pq.read_table(folder / "f.parquet"), Findings, snapshot.labels)
    return found


@pytest.fixture(scope="module")
def short() -> Video:
    return video(6, frames=300, visible=4, length=100, planted=5)


@pytest.fixture(scope="module")
def found(short: Video, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return findings_of(tmp_path_factory.mktemp("short"), short.snapshot, short.predictions)


def told_of(cause: Cause, f: Findings) -> Findings:
    """Findings that are about a planted mistake."""
    likely = f[f.score >= 0.5]
    if cause.track < 0:
        first, last = likely.span()
        here = (likely.suggested_label == cause.label) & (first >= cause.first - 5) & (last <= cause.last + 5)
        return likely[here & (likely.type == FindingType.MISSING_ANNOTATION) & (likely.frames > 1)]
    return likely[(likely.annotation_id == cause.track) & (likely.type == cause.kind)]


def test_each_planted_mistake_is_one_likely_finding(short: Video, found: Findings) -> None:
    for cause in short.causes:
        f = told_of(cause, found)
        assert len(f) == 1, cause
        assert cause.first <= f.frame[0] <= cause.last
    wrong = told_of(short.causes[0], found)
    assert wrong.suggested_label.tolist() == [short.causes[0].label]
    assert (wrong.first_frame[0], wrong.last_frame[0]) == (short.causes[0].first, short.causes[0].last)


def test_findings_are_few_and_point_at_their_most_telling_frame(short: Video, found: Findings) -> None:
    rows = short.snapshot.annotations
    assert (found.score >= 0.5).sum() <= 10
    assert (np.diff(found.score) <= 0).all()
    assert len(np.unique(found.id)) == len(found)
    on_shape = found[found.annotation >= 0]
    assert np.array_equal(rows.annotation_id[on_shape.annotation], on_shape.annotation_id)
    assert np.array_equal(rows.frame[on_shape.annotation], on_shape.frame)
    twice = found[found.type == FindingType.DUPLICATE_ANNOTATION]
    assert np.array_equal(rows.frame[twice.related], twice.frame)
    first, last = found.span()
    assert ((first <= found.frame) & (found.frame <= last) & (found.frames <= last - first + 1)).all()
    assert all(found.reason)


@pytest.mark.parametrize("block", [37, 100])
def test_it_does_not_matter_where_blocks_end(
    short: Video, found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    for module in (comparing, blocks, gathering):
        monkeypatch.setattr(module, "BLOCK_FRAMES", block)
    again = findings_of(tmp_path, short.snapshot, short.predictions)
    assert again.id.tolist() == found.id.tolist()
    for name, column in found.columns().items():
        other = again.columns()[name]
        if column.dtype.kind == "f":
            assert np.allclose(column, other, rtol=0, atol=1e-12, equal_nan=True), name
        else:
            assert np.array_equal(column, other), name


def test_an_id_is_of_the_cause_not_of_the_frame_that_shows_it_most(
    short: Video, found: Findings, tmp_path: Path
) -> None:
    """Decisions must outlive a slightly other model."""
    shaken = short.predictions.replace(score=np.clip(short.predictions.score * 0.97, 0, 1))
    again = findings_of(tmp_path, short.snapshot, shaken)
    for cause in short.causes[:3]:
        assert told_of(cause, again).id.tolist() == told_of(cause, found).id.tolist()


def test_photos_are_none_of_its_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, predictions = scene(5, frames=40)
    found_ = findings_of(tmp_path / "a", snapshot, predictions)
    monkeypatch.setattr(gathering.Gathering, "needed", False)
    before = findings_of(tmp_path / "b", snapshot, predictions)
    assert found_.id.tolist() == before.id.tolist()
    assert (tmp_path / "a" / "f.parquet").read_bytes() == (tmp_path / "b" / "f.parquet").read_bytes()
    assert (found_.frames == 1).all()


def test_shapes_beside_tracks_stay_single_findings(short: Video, tmp_path: Path) -> None:
    """Each of them is a shape of its own, which a person must look at and a fix must touch."""
    rows = short.snapshot.annotations
    single = rows.annotation_id == short.causes[2].track
    n = int(single.sum())
    ids = rows.annotation_id.copy()
    ids[single] = 1000 + np.arange(n)
    mixed = rows.replace(track=~single, annotation_id=ids)
    f = findings_of(tmp_path, replace(short.snapshot, annotations=mixed), short.predictions)
    alone = f[f.annotation_id >= 1000]
    assert len(alone) > n // 2
    assert (alone.frames == 1).all()
