"""What CVAT is told of a detector's labels: the annotation ``spec`` of a function."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from audit.core.labels import listing
from audit.core.skeletons import COCO_BONES, COCO_KEYPOINTS
from audit.errors import UsageError

COCO_PLACES = (
    (50, 8), (54, 5), (46, 5), (59, 8), (41, 8), (64, 25), (36, 25), (72, 41), (28, 41), (76, 56), (24, 56),
    (59, 56), (41, 56), (60, 76), (40, 76), (61, 95), (39, 95),
)  # fmt: skip
"""Where CVAT's picture of the skeleton shows them, in percent: a person who faces the reader."""


def renamed(classes: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """The classes under their names in CVAT. Raises UsageError for a class that the model does not have."""
    for name in names:
        if name not in classes:
            raise UsageError(f"the model has no class '{name}' (there are: {listing(classes)})")
    return tuple(names.get(c, c) for c in classes)


def spec_of(task: str, labels: Sequence[str], score_attribute: str = "") -> list[dict[str, Any]]:
    """CVAT's label list of a model: masks for the task "segment", else rectangles; each name once."""
    kind = "mask" if task == "segment" else "rectangle"
    score = [{"name": score_attribute, "input_type": "text", "values": []}] if score_attribute else []
    return [{"id": i, "name": n, "type": kind, "attributes": score} for i, n in enumerate(dict.fromkeys(labels))]


def spec_text(spec: list[dict[str, Any]]) -> str:
    """The annotation's text: JSON in a string, which is what CVAT parses."""
    return json.dumps(spec, ensure_ascii=False)


def spec_of_poses(labels: Sequence[str], keypoints: Sequence[str], score_attribute: str = "") -> list[dict[str, Any]]:
    """A skeleton for each label, with a picture of it: a person for COCO's keypoints, else a ring."""
    score = [{"name": score_attribute, "input_type": "text", "values": []}] if score_attribute else []
    parts = [{"id": i, "name": n, "type": "points", "attributes": []} for i, n in enumerate(keypoints)]
    svg = skeleton_svg(keypoints)
    return [
        {"id": i, "name": n, "type": "skeleton", "attributes": score, "sublabels": parts, "svg": svg}
        for i, n in enumerate(dict.fromkeys(labels))
    ]


def skeleton_svg(keypoints: Sequence[str]) -> str:
    """The drawing by which CVAT knows a skeleton's nodes; numbers are percent of its square."""
    human = tuple(keypoints) == COCO_KEYPOINTS
    turns = [2 * math.pi * i / max(len(keypoints), 1) for i in range(len(keypoints))]
    ring = [(round(50 + 40 * math.sin(t), 2), round(50 - 40 * math.cos(t), 2)) for t in turns]
    places: Sequence[tuple[float, float]] = COCO_PLACES if human else ring
    lines = [_line(a, b, places) for a, b in (COCO_BONES if human else ())]
    nodes = [_node(i, name, xy) for i, (name, xy) in enumerate(zip(keypoints, places, strict=True), start=1)]
    return "\n".join(lines + nodes)


def _line(a: int, b: int, places: Sequence[tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = places[a - 1], places[b - 1]
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    return f'<line {ends} data-type="edge" data-node-from="{a}" data-node-to="{b}"></line>'


def _node(number: int, name: str, xy: tuple[float, float]) -> str:
    text = html.escape(name)
    where = f'r="0.75" cx="{xy[0]}" cy="{xy[1]}"'
    ids = f'data-type="element node" data-element-id="{number}" data-node-id="{number}"'
    return f'<circle {where} {ids} data-label-name="{text}"></circle>'
