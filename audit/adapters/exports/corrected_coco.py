"""COCO instances with corrections made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from audit.adapters.exports.numbers import whole
from audit.core.annotations import NO_ID, ShapeType, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.masks import decode, rle_of_rings
from audit.core.proposals import Proposal
from audit.errors import UsageError
from audit.push_ports import Unfit


class CocoCopy:
    """The whole file in memory; what is not corrected is written as it was read."""

    tracks = False

    def __init__(self, data: bytes, where: str, snapshot: Snapshot) -> None:
        try:
            self._body: dict[str, Any] = json.loads(data)
            self._shapes: list[Any] = self._body["annotations"]
            self._categories = {c["name"]: c["id"] for c in self._body["categories"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{where}: is not COCO ({error!r})") from None
        self._frames = snapshot.frames
        # a shape without a number of its own is known by its position
        keys = ((whole(s.get("id")), i) for i, s in enumerate(self._shapes, start=1))
        self._index = {i if key is None else key: s for (key, i), s in zip(keys, self._shapes, strict=True)}
        self._next = max((k for k in self._index), default=0) + 1
        self._gone: set[int] = set()

    def create(self, correction: Correction) -> None:
        image = int(self._frames.image_id[correction.frame])
        if correction.geometry is None or image == NO_ID:
            raise Unfit("its image has no number in the file")
        size = self._size_hw(correction.frame)
        facts = {"id": self._next, "image_id": image, "category_id": self._category(correction.label)}
        facts |= {**_place(correction.geometry, correction.shape, size), "iscrowd": 0}
        self._shapes.append({**facts, "attributes": {"occluded": False}})
        self._next += 1

    def change(self, correction: Correction) -> None:
        shape = self._index[correction.annotation_id]
        if correction.action is Action.DELETE:
            self._gone.add(id(shape))  # taken out at the end, all in one go
            return
        facts: dict[str, Any] = {}
        if correction.geometry is not None:
            facts |= _place(correction.geometry, correction.shape, self._size_hw(correction.frame))
        if correction.label:
            facts["category_id"] = self._category(correction.label)
        shape.update(facts)

    def written(self) -> bytes:
        self._shapes[:] = [s for s in self._shapes if id(s) not in self._gone]
        self._gone.clear()
        return json.dumps(self._body, ensure_ascii=False).encode()

    def _category(self, label: str) -> Any:
        if label not in self._categories:
            raise Unfit(f"the file has no category '{label[:60]}'")
        return self._categories[label]

    def _size_hw(self, frame: int) -> tuple[int, int]:
        return int(self._frames.height[frame]), int(self._frames.width[frame])


def _place(proposal: Proposal, shape: ShapeType, hw: tuple[int, int]) -> dict[str, Any]:
    """bbox, area and segmentation. Raises Unfit."""
    if shape is ShapeType.RECTANGLE and proposal.rotation:
        raise Unfit("COCO holds no turned boxes")
    x1, y1, x2, y2 = proposal.around
    box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
    if shape is ShapeType.RECTANGLE:
        return {"bbox": box, "area": round(box[2] * box[3], 2), "segmentation": []}
    if shape is ShapeType.POLYGON and proposal.ring:
        flat = [v for vertex in proposal.ring for v in vertex]
        drawn = rle_of_rings([np.array(proposal.ring)], hw)
        return {"bbox": box, "area": float(decode(drawn, hw).sum()), "segmentation": [flat]}
    if shape is ShapeType.MASK and proposal.mask is not None:
        rle = {"size": list(hw), "counts": proposal.mask.decode()}
        return {"bbox": box, "area": float(decode(proposal.mask, hw).sum()), "segmentation": rle}
    raise Unfit(f"COCO cannot hold the proposal as a {shape.name.lower()}")
