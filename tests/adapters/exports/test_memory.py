"""What is held while reading grows with the columns alone: a few hundred bytes a shape, never the document."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from .conftest import Silent, write_folder
from .samples import box, coco, coco_shape, cvat_xml, image

SHAPES = 7


def as_xml(frames: int) -> dict[str, str]:
    return {"annotations.xml": cvat_xml("".join(image(i, box(1, 2, 3, 4) * SHAPES) for i in range(frames)))}


def as_coco(frames: int) -> dict[str, str]:
    shapes = [coco_shape(id=i + 1, image_id=10 + i // SHAPES) for i in range(frames * SHAPES)]
    return {"annotations/instances_default.json": json.dumps(coco(shapes, images=frames))}


def peak_bytes(opened, path: Path) -> int:
    tracemalloc.start()
    try:
        snapshot = opened(path).snapshot(Silent())
        assert len(snapshot.annotations) == SHAPES * len(snapshot.frames)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("written", [as_xml, as_coco])
def test_memory_per_shape_is_bounded(opened, tmp_path, written):
    peaks = [peak_bytes(opened, write_folder(tmp_path / str(n), written(n))) for n in (500, 2500)]
    per_shape = (peaks[1] - peaks[0]) / (2000 * SHAPES)
    assert per_shape < 300  # an element or a dict of one shape alone takes over 600 bytes
