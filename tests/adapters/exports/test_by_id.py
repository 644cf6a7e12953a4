"""Shapes of a large export are found by id without a look at all of them, and are those that a look at all finds."""

from __future__ import annotations

import numpy as np

from audit.adapters.exports.writer import _ById
from audit.core.annotations import Annotations
from tests.scenes import scene


def test_the_shapes_with_an_id_in_any_order() -> None:
    snapshot, _ = scene(3, frames=10)
    a = snapshot.annotations
    ids = np.random.default_rng(0).integers(0, len(a) // 2, len(a))  # some stand for several shapes, some for none
    snapshot = type(snapshot)("x", snapshot.labels, snapshot.frames, a.replace(annotation_id=ids))
    known = _ById(snapshot)
    for key in range(-1, len(a) // 2 + 1):
        rows = np.flatnonzero(ids == key)
        boxes = [(repr(a.xyxy[r].tolist()), snapshot.frames.name[a.frame[r]]) for r in rows]
        assert [(box, name) for name, _, _, box, *_ in known.facts(key)] == boxes


def test_without_shapes_there_are_none() -> None:
    snapshot, _ = scene(3, frames=2)
    assert _ById(type(snapshot)("x", snapshot.labels, snapshot.frames, Annotations())).facts(1) == []
