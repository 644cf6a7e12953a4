"""Charts counted piece by piece are those of all findings at once."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.findings import FindingType
from audit.report.plots import Bars, Charts, Marks


def marks(n: int) -> Marks:
    rng = np.random.default_rng(n)
    iou = np.where(rng.random(n) < 0.2, np.nan, rng.random(n))
    return Marks(
        type=rng.integers(0, 4, n).astype(np.int8),
        frame=rng.integers(0, 50, n).astype(np.int32),
        score=rng.random(n),
        iou=iou,
    )


def charts(found: Marks, *, piece: int, frames: int = 50) -> list[Bars]:
    counted = Charts(frames, 0.5)
    for start in range(0, len(found), piece):
        counted.add(found[start : start + piece])
    return counted.plots()


@pytest.mark.parametrize("frames", [0, 3])
def test_without_findings_there_is_none(frames: int) -> None:
    assert Charts(frames, 0.5).plots() == []
    assert charts(marks(0), piece=1, frames=frames) == []


@pytest.mark.parametrize("n", [1, 2, 999, 1000])
def test_pieces_add_up(n: int) -> None:
    found = marks(n)
    assert charts(found, piece=7) == charts(found, piece=n)


def test_every_chart_counts_what_it_says() -> None:
    found = marks(1000)
    per_frame, overlaps, *scores = charts(found, piece=100)
    likely = found.score >= 0.5
    assert sum(per_frame.counts) == 50
    none = 50 - len(np.unique(found.frame[likely]))
    assert per_frame.told.startswith(f"{none} of 50 frames have none, the worst has ")
    iou = found.iou[(found.type == FindingType.LOW_OVERLAP) & np.isfinite(found.iou)]
    assert list(overlaps.counts) == np.histogram(iou, np.linspace(0, 1, 21))[0].tolist()
    assert overlaps.told.endswith(f"median {round(100 * float(np.median(iou)), 1):g} %")
    for kind, chart in zip(range(4), scores, strict=True):
        of_kind = found.score[found.type == kind]
        assert list(chart.counts) == np.histogram(of_kind, np.linspace(0, 1, 11))[0].tolist()
        assert chart.told == f"{len(of_kind)} findings, {(of_kind >= 0.5).sum()} at 50 % or more"
