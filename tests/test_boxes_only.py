"""Where the model gives a box and the label is an outline, the question offers nothing to take over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.boxes_only import boxes_only
from audit.core.annotations import Annotations, Frames, Predictions, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.masks import encode
from audit.core.questions import Answer
from audit.core.table import objects
from audit.review import Review
from audit.runs import RunFolder
from tests.report.conftest import save_run

SHAPES = (ShapeType.RECTANGLE, ShapeType.POLYGON, ShapeType.MASK, ShapeType.ELLIPSE)
RING = np.array([[10.0, 10], [40, 10], [40, 40], [10, 40]])
HW = (100, 200)


def write(path: Path, masks: bool, kind: FindingType = FindingType.LOW_OVERLAP) -> RunFolder:
    """A finding for each type of shape; the last is one of no label."""
    n = len(SHAPES)
    drawn = np.zeros(HW, bool)
    drawn[10:40, 10:40] = True
    counts = encode(drawn)
    box = [[10.0 + 40 * i, 10, 40 + 40 * i, 40] for i in range(n)]
    annotations = Annotations(
        xyxy=box,
        frame=[0] * n,
        label=[0] * n,
        annotation_id=np.arange(n) + 1,
        shape=SHAPES,
        points=objects([None, (RING,), None, None]),
        mask=objects([None, None, counts, None]),
    )
    predictions = Predictions(
        xyxy=box, frame=[0] * n, label=[0] * n, score=[0.9] * n, mask=objects([counts if masks else None] * n)
    )
    rows = [*range(n), -1]
    found = Findings(
        type=[kind] * n + [FindingType.MISSING_ANNOTATION],
        frame=[0] * (n + 1),
        score=[0.5] * (n + 1),
        annotation=rows,
        prediction=[*range(n), 0],
        label=[0] * n + [-1],
        suggested_label=[0] * (n + 1),
        xyxy=[*box, [np.nan] * 4],
        suggested_xyxy=[*box, box[0]],
    )
    frames = Frames(name=["a.jpg"], number=[0], width=[HW[1]], height=[HW[0]], path=[""])
    return save_run(path, frames, annotations, predictions, found, labels=["cat"])


def test_a_run_without_findings_has_none(tmp_path: Path) -> None:
    assert boxes_only(save_run(tmp_path), Findings()).tolist() == []


@pytest.mark.parametrize(
    ("masks", "kind", "expected"),
    [
        (False, FindingType.LOW_OVERLAP, [ShapeType.POLYGON, ShapeType.MASK]),
        (True, FindingType.LOW_OVERLAP, []),
        (False, FindingType.MISMATCHING_LABEL, []),
    ],
)
def test_outlines_that_only_a_box_speaks_against(
    tmp_path: Path, masks: bool, kind: FindingType, expected: list[ShapeType]
) -> None:
    run = write(tmp_path / "run", masks, kind)
    findings = run.findings()
    found = findings.annotation[boxes_only(run, findings)]
    assert [SHAPES[row] for row in sorted(found.tolist())] == expected


def test_the_review_asks_by_what_can_be_taken_over(tmp_path: Path) -> None:
    review = Review(write(tmp_path / "run", masks=False), "ann")
    asked = {review.findings.annotation[review.row(i)]: review.question(i) for i in review.ask(10)}
    assert [asked[row].text.split()[0] for row in range(4)] == ["Which", "Does", "Does", "Which"]
    review.answer(review.ask(1)[0], Answer.YES)
    review.close()
