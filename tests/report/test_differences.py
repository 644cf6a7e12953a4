"""The picture of how a shape differs from the one proposed: missing and extra parts, only where both have masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audit.core.annotations import Annotations, Frames, Predictions, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.masks import encode
from audit.core.table import objects
from audit.report.crops import View
from audit.report.gallery import cards
from audit.report.html import write_report
from audit.report.outlines import difference_paths
from audit.runs import RunFolder
from tests.report.conftest import Silent

WH = (120, 80)
VIEW = View(10, 10, 100, 60)


def block(x1: int, y1: int, x2: int, y2: int) -> bytes:
    mask = np.zeros((WH[1], WH[0]), np.uint8)
    mask[y1:y2, x1:x2] = 1
    return encode(mask)


def one(kind: ShapeType, mask: bytes | None = None, points: object = None) -> Annotations:
    return Annotations(
        xyxy=[[20, 20, 60, 60]], frame=[0], label=[0], annotation_id=[1], shape=[kind], mask=[mask], points=[points]
    )


def extents(d: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a path's points."""
    xy = np.array([[float(v) for v in p.split()] for p in d.replace("M", "L").replace("Z", "").split("L") if p])
    return (*xy.min(axis=0), *xy.max(axis=0))


def test_missing_and_extra_lie_where_the_masks_differ() -> None:
    missing, extra = difference_paths(one(ShapeType.MASK, block(20, 20, 60, 60)), 0, block(40, 20, 80, 60), VIEW, WH)
    assert (missing.role, extra.role) == ("missing", "extra")
    assert extents(missing.d) == pytest.approx((50, 10, 70, 50), abs=1)
    assert extents(extra.d) == pytest.approx((10, 10, 30, 50), abs=1)


def test_a_polygon_differs_as_its_mask() -> None:
    ring = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
    of_ring = difference_paths(one(ShapeType.POLYGON, points=(ring,)), 0, block(40, 20, 80, 60), VIEW, WH)
    of_mask = difference_paths(one(ShapeType.MASK, block(20, 20, 60, 60)), 0, block(40, 20, 80, 60), VIEW, WH)
    assert [p.role for p in of_ring] == [p.role for p in of_mask]
    for a, b in zip(of_ring, of_mask, strict=True):
        assert extents(a.d) == pytest.approx(extents(b.d), abs=1.5)


def test_equal_masks_differ_nowhere() -> None:
    assert difference_paths(one(ShapeType.MASK, block(20, 20, 60, 60)), 0, block(20, 20, 60, 60), VIEW, WH) == []


@pytest.mark.parametrize(
    ("shapes", "predicted", "wh"),
    [
        (one(ShapeType.RECTANGLE), block(20, 20, 60, 60), WH),
        (one(ShapeType.MASK, block(20, 20, 60, 60)), None, WH),
        (one(ShapeType.POLYLINE, points=(np.zeros((3, 2)),)), block(20, 20, 60, 60), WH),
        (one(ShapeType.MASK, block(20, 20, 60, 60)), block(40, 20, 80, 60), (0, 0)),
        (one(ShapeType.MASK, block(20, 20, 60, 60)), block(40, 20, 80, 60), (100_000, 100_000)),
    ],
)
def test_without_two_masks_there_is_no_difference(
    shapes: Annotations, predicted: bytes | None, wh: tuple[int, int]
) -> None:
    assert difference_paths(shapes, 0, predicted, VIEW, wh) == []


@pytest.mark.parametrize("masks", [True, False])
def test_the_report_draws_and_explains_differences_of_masks_only(
    run_of: Callable[..., RunFolder], tmp_path: Path, masks: bool
) -> None:
    annotations, predicted = one(ShapeType.MASK, block(20, 20, 60, 60)), block(40, 20, 80, 60)
    run = run_of(
        frames=Frames(name=["a.jpg"], number=[0], width=[WH[0]], height=[WH[1]], task=[1], job=[7]),
        annotations=annotations,
        predictions=Predictions(
            xyxy=[[40, 20, 80, 60]], label=[0], score=[0.9], mask=objects([predicted if masks else None])
        ),
        findings=Findings(
            type=[FindingType.LOW_OVERLAP],
            frame=[0],
            score=[0.9],
            annotation=[0],
            prediction=[0],
            annotation_id=[1],
            label=[0],
            suggested_label=[0],
            xyxy=annotations.xyxy,
            suggested_xyxy=[[40, 20, 80, 60]],
            iou=[1 / 3],
        ),
    )
    (card,) = cards(run, run.findings(), Silent())
    assert [p.role for p in card.paths] == ["existing", "proposed"] + (["missing", "extra"] if masks else [])
    assert ("what it lacks" in card.alt) is masks
    write_report(run, tmp_path / "report.html", progress=Silent())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("too much in it" in html) is masks
    assert html.count('class="area missing"') == (2 if masks else 0)
    assert html.count('class="halo"') == html.count('class="line existing"') + html.count('class="line proposed"') + 1
