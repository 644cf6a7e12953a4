"""The same random boxes written in every format are read back alike, within the format's precision."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.adapters.exports import open_store
from audit.adapters.pictures import ImageCache

from .conftest import Contents, Silent, picture, write_folder, write_zip

LABELS = ("car", "a <b> & 'c' \"d\"", "Füße, 100 %", "NaN")
W, H = 640, 480
Boxes = list[list[tuple[int, np.ndarray]]]
PICTURE = picture(W, H)


def scene(seed: int) -> Boxes:
    """Per frame the (label, xyxy) of its boxes, with two decimals; some frames have none."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(int(rng.integers(1, 5))):
        corners = np.sort(rng.uniform(0, 1, (int(rng.integers(0, 6)), 2, 2)) * [W, H], axis=1).reshape(-1, 4)
        frames.append([(int(rng.integers(len(LABELS))), box.round(2)) for box in corners])
    return frames


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def head(size: int) -> str:
    names = "".join(f"<label><name>{escaped(n)}</name></label>" for n in LABELS)
    original = f"<original_size><width>{W}</width><height>{H}</height></original_size>"
    return f"<meta><task><id>1</id><size>{size}</size><labels>{names}</labels>{original}</task></meta>"


def corners(box: np.ndarray) -> str:
    return " ".join(f'{k}="{v:.2f}"' for k, v in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))


def cvat_images(frames: Boxes) -> Contents:
    images = "".join(
        f'<image id="{i}" name="{i}.png" width="{W}" height="{H}">'
        + "".join(f'<box label="{escaped(LABELS[c])}" {corners(b)}/>' for c, b in shapes)
        + "</image>"
        for i, shapes in enumerate(frames)
    )
    return {"annotations.xml": f"<annotations>{head(len(frames))}{images}</annotations>"}


def cvat_video(frames: Boxes) -> Contents:
    tracks = [
        f'<track id="{n}" label="{escaped(LABELS[c])}"><box frame="{i}" outside="0" {corners(b)}/>'
        + (f'<box frame="{i + 1}" outside="1" {corners(b)}/>' if i + 1 < len(frames) else "")
        + "</track>"
        for n, (i, c, b) in enumerate((i, c, b) for i, shapes in enumerate(frames) for c, b in shapes)
    ]
    return {
        "annotations.xml": f"<annotations>{head(len(frames))}{''.join(tracks)}<track/></annotations>".replace(
            "<track/>", "" if tracks else '<track id="0" label="car"></track>'
        )
    }


def xywh(box: np.ndarray) -> list[float]:
    return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]


def coco(frames: Boxes) -> Contents:
    data = {
        "images": [{"id": 7 * i, "file_name": f"{i}.png", "width": W, "height": H} for i in range(len(frames))],
        "annotations": [
            {"id": 100 * i + k, "image_id": 7 * i, "category_id": c + 1, "bbox": xywh(b), "segmentation": []}
            for i, shapes in enumerate(frames)
            for k, (c, b) in enumerate(shapes)
        ],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(LABELS)],
    }
    return {"annotations/instances_default.json": json.dumps(data)}


def datumaro(frames: Boxes) -> Contents:
    items = [
        {
            "id": str(i),
            "image": {"path": f"{i}.png", "size": [H, W]},
            "annotations": [{"id": 0, "type": "bbox", "label_id": c, "bbox": xywh(b)} for c, b in shapes],
        }
        for i, shapes in enumerate(frames)
    ]
    labels = [{"name": n, "parent": ""} for n in LABELS]
    return {"annotations/default.json": json.dumps({"categories": {"label": {"labels": labels}}, "items": items})}


def yolo(frames: Boxes) -> Contents:
    files: dict[str, bytes | str] = {
        "data.yaml": json.dumps({"train": "train.txt", "names": list(LABELS)}),
        "train.txt": "".join(f"images/train/{i}.png\n" for i in range(len(frames))),
    }
    for i, shapes in enumerate(frames):
        files[f"images/train/{i}.png"] = PICTURE
        lines = []
        for c, b in shapes:
            cx, cy = (b[0] + b[2]) / 2 / W, (b[1] + b[3]) / 2 / H
            lines.append(f"{c} {cx:.6f} {cy:.6f} {(b[2] - b[0]) / W:.6f} {(b[3] - b[1]) / H:.6f}")
        files[f"labels/train/{i}.txt"] = "\n".join(lines)
    return files


# YOLO's six decimals of up to 640 px, taken for the centre and for half the size
WRITERS: dict[str, tuple[Callable[[Boxes], Contents], float]] = {
    "cvat-images": (cvat_images, 1e-9),
    "cvat-video": (cvat_video, 1e-9),
    "coco": (coco, 1e-9),
    "datumaro": (datumaro, 1e-9),
    "yolo": (yolo, 1e-3),
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), as_zip=st.booleans())
def test_boxes_come_back(name: str, seed: int, as_zip: bool) -> None:
    frames = scene(seed)
    writer, tolerance = WRITERS[name]
    with tempfile.TemporaryDirectory() as folder:
        root, contents = Path(folder), writer(frames)
        path = write_zip(root / "e.zip", contents) if as_zip else write_folder(root / "e", contents)
        store = open_store(path, cache=ImageCache(root / "cache"))
        snapshot = store.snapshot(Silent())
        store.close()
    assert store.format == name and not snapshot.problems
    assert len(snapshot.frames) == len(frames)
    assert (snapshot.frames.width == W).all() and (snapshot.frames.height == H).all()
    expected = [(i, LABELS[c], b) for i, shapes in enumerate(frames) for c, b in shapes]
    a = snapshot.annotations
    assert a.frame.tolist() == [i for i, _, _ in expected]
    assert [snapshot.labels[c] for c in a.label] == [label for _, label, _ in expected]
    if expected:
        np.testing.assert_allclose(a.xyxy, [b for _, _, b in expected], atol=tolerance)
