"""Annotations given away piece by piece are those that a snapshot holds otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection

import numpy as np
import pytest

from audit.adapters.exports import reading
from audit.core.annotations import Annotations
from tests.test_runs import same

from .conftest import Silent, write_folder
from .samples import box, coco, coco_shape, cvat_xml, datumaro, image

TRACKS = "".join(
    f'<track id="{i}" label="car">' + box(1, 2, 3, 4, extra='frame="2" outside="0"') + "</track>" for i in range(3)
)
EXPORTS = {
    "nothing": {"annotations.xml": cvat_xml(image(0))},
    "cvat-images": {"annotations.xml": cvat_xml("".join(image(i, box(1, 2, 3, 4) * (i + 1)) for i in range(3)))},
    "cvat-video": {"annotations.xml": cvat_xml(TRACKS, size=9, mode="interpolation")},
    "coco": {"annotations/instances_default.json": coco([coco_shape(id=7, image_id=10 + i % 2) for i in range(5)])},
    "datumaro": {
        "annotations/default.json": datumaro(
            [{"id": 9 - i, "type": "bbox", "label_id": 0, "bbox": [1, 2, 3, 4]} for i in range(5)]
        )
    },
}


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_pieces_together_are_the_whole(opened, tmp_path, monkeypatch, name, piece):
    monkeypatch.setattr(reading, "PIECE", piece)
    path = write_folder(
        tmp_path / "export", {k: v if isinstance(v, str) else json.dumps(v) for k, v in EXPORTS[name].items()}
    )
    whole = opened(path).snapshot(Silent())
    pieces: list[Annotations] = []

    def take(annotations: Annotations, labels: Collection[str]) -> None:
        assert list(labels) == list(whole.labels)[: len(labels)]
        assert annotations.label.max(initial=-1) < len(labels)
        pieces.append(annotations)

    streamed = opened(path).snapshot(Silent(), take)
    same(whole.annotations, Annotations.concat(pieces))
    same(whole.frames, streamed.frames)
    assert len(streamed.annotations) == 0
    assert (streamed.labels, streamed.notes, streamed.problems) == (whole.labels, whole.notes, whole.problems)
    if name != "nothing":
        assert max(map(len, pieces)) <= piece
    if name == "coco":
        assert "stands for several shapes" in streamed.notes[0]
    assert np.all(whole.annotations.annotation_id >= 0)
