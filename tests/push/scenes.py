"""Shapes, findings and tasks that the tests of a push share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audit.core.findings import FindingType
from tests.contract.cases import every_shape
from tests.contract.place import Place
from tests.push.place import HW, Audited, audit

T = FindingType
PERSON, THING = 0, 1
OTHER = [20.0, 10.0, 50.0, 40.0]


def box(
    place: Place, frame: int = 0, points: tuple[float, ...] = (1.0, 2.0, 30.0, 40.0), **more: Any
) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": place.label("thing"), "points": list(points), **more}


def rich(place: Place, frame: int = 0, **more: Any) -> dict[str, Any]:
    """A shape with a value in every field that an update must keep."""
    attributes = [{"spec_id": place.spec("pose"), "value": "sits"}, {"spec_id": place.spec("checked"), "value": "true"}]
    facts = {"occluded": True, "z_order": 3, "group": 7, "source": "semi-auto", "score": 0.25, "attributes": attributes}
    return {**box(place, frame), "label_id": place.label("person"), **facts, **more}


def ids(audited: Audited) -> list[int]:
    """The ids of what was written, in the order of writing; a server reads it in another."""
    return sorted(audited.snapshot.annotations.annotation_id.tolist())


def blob() -> np.ndarray:
    mask = np.zeros(HW, np.uint8)
    mask[10:31, 12:40] = 1
    return mask


def full_house(place: Place, tmp_path: Path) -> Audited:
    """Every type of shape, and a finding of every kind of fix, in both jobs."""
    shapes = [*every_shape(place), rich(place), rich(place), rich(place, frame=2), box(place, frame=3)]
    audited = audit(place, tmp_path / "run", shapes)
    a = audited.snapshot.annotations
    known = {int(key): audited.stored()[int(key)] for key in a.annotation_id}
    kinds = {s["type"]: key for key, s in known.items() if s["frame"] == 1}
    people = [key for key, s in known.items() if s["frame"] == 0]
    last = {s["frame"]: key for key, s in known.items() if s["frame"] > 1}
    proposed = {"suggested_label": THING, "suggested_xyxy": [12.0, 10.0, 40.0, 31.0], "mask": blob()}
    for kind in ("rectangle", "polygon", "mask", "ellipse"):
        audited.finding(T.LOW_OVERLAP, kinds[kind], **proposed)
    for kind in ("polyline", "points", "cuboid", "skeleton"):
        audited.finding(T.EXTRA_ANNOTATION, kinds[kind])
    audited.finding(T.DUPLICATE_ANNOTATION, people[1], related_id=people[0])
    audited.finding(T.MISMATCHING_LABEL, last[2], **proposed)
    audited.finding(T.EXTRA_ANNOTATION, last[3])
    audited.finding(T.MISSING_ANNOTATION, frame=3, **proposed)
    audited.accept_all()
    return audited
