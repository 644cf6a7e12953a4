"""One synthetic data set in every form that an audit reads: five kinds of exports, and a task on a CVAT server.

Frames have 7 labels each. In a video, and on a server beside single shapes, they are tracks that span all frames.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from audit.core.annotations import Annotations, Predictions, Snapshot
from audit.demo.export import picture
from audit.demo.scenes import SCENES
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.scenes import SIDE, boxes, scene

NAMES = ("person", "car", "bus", "cat", "dog", "cup", "chair", "truck", "tie", "spoon")
PER_FRAME, TRACKS, KEYFRAME_EVERY = 7, 7, 10
Row = dict[str, Any]


def make_scene(frames: int, predicted: float) -> tuple[Snapshot, Predictions]:
    """Labels and so many predictions a frame."""
    return scene(0, frames=frames, per_frame=PER_FRAME, predicted=predicted, labels=len(NAMES))


def write_photos(folder: Path, frames: int) -> None:
    """``photos`` (hard links to a few files), one for each frame."""
    (folder / "photos").mkdir(parents=True)
    for i, photo in enumerate(SCENES):
        image = Image.open(io.BytesIO(picture(photo))).convert("RGB").resize((SIDE, SIDE))
        image.save(folder / f"photo{i}.jpg", quality=80)
    for i in range(frames):
        os.link(folder / f"photo{i % len(SCENES)}.jpg", folder / "photos" / f"{i:06d}.jpg")


def write_pictures(folder: Path, frames: int) -> None:
    """``pictures``: a small one of its own for every frame."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(frames):
        blots = Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8))
        blots.resize((SIDE, SIDE)).save(folder / "pictures" / f"{i:06d}.jpg", quality=50)


def write_results(path: Path, predictions: Predictions) -> None:
    """COCO results that name their images by file."""
    scores = predictions.score.tolist()
    with path.open("w") as stream:
        write_list(stream, ({"score": scores[i], **row} for i, row in enumerate(rows(predictions, "file_name"))))


def rows(table: Annotations | Predictions, image: str = "image_id") -> Iterator[Row]:
    """COCO's words for the columns that labels and results share. image: how a row names its image."""
    columns = (table.frame.tolist(), table.label.tolist(), table.xyxy.tolist())
    for frame, label, (x1, y1, x2, y2) in zip(*columns, strict=True):
        w, h = x2 - x1, y2 - y1
        named = frame if image == "image_id" else f"{frame:06d}.jpg"
        category = {"category_id": label + 1} if image == "image_id" else {"category_name": NAMES[label]}
        yield {image: named, **category, "bbox": [x1, y1, w, h], "area": w * h}


def write_list(stream: IO[str], items: Iterable[object]) -> None:
    """A JSON list, written item by item."""
    stream.write("[")
    for k, item in enumerate(items):
        stream.write((",\n" if k else "\n") + json.dumps(item))
    stream.write("]")


def coco(folder: Path, snapshot: Snapshot) -> None:
    """COCO instances."""
    frames, a = len(snapshot.frames), snapshot.annotations
    sizes = ({"id": i, "file_name": f"{i:06d}.jpg", "width": SIDE, "height": SIDE} for i in range(frames))
    shapes = ({"id": i + 1, "iscrowd": 0, "segmentation": [], **row} for i, row in enumerate(rows(a)))
    with (folder / "annotations.json").open("w") as stream:
        stream.write('{"images": ')
        write_list(stream, sizes)
        stream.write(', "categories": ' + json.dumps([{"id": i + 1, "name": n} for i, n in enumerate(NAMES)]))
        stream.write(', "annotations": ')
        write_list(stream, shapes)
        stream.write("}")


def by_frame(snapshot: Snapshot) -> Iterator[tuple[int, list[tuple[int, int, list[float]]]]]:
    """Every frame with the (id, label, xyxy) of its shapes."""
    a = snapshot.annotations
    ends = np.searchsorted(a.frame, np.arange(len(snapshot.frames) + 1)).tolist()
    for frame, (start, stop) in enumerate(pairwise(ends)):
        part = slice(start, stop)
        columns = (range(start + 1, stop + 1), a.label[part].tolist(), a.xyxy[part].tolist())
        yield frame, list(zip(*columns, strict=True))


def datumaro(folder: Path, snapshot: Snapshot) -> None:
    """Datumaro's JSON."""

    def item(frame: int, shapes: list[tuple[int, int, list[float]]]) -> Row:
        found = [
            {"id": i, "type": "bbox", "label_id": label, "group": 0, "z_order": 0, "attributes": {"occluded": False},
             "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for i, label, (x1, y1, x2, y2) in shapes
        ]  # fmt: skip
        image = {"path": f"{frame:06d}.jpg", "size": [SIDE, SIDE]}
        return {"id": f"{frame:06d}", "annotations": found, "attr": {"frame": frame}, "image": image}

    labels = [{"name": name, "parent": "", "attributes": []} for name in NAMES]
    head = {"info": {}, "categories": {"label": {"labels": labels, "attributes": []}}}
    (folder / "annotations").mkdir()
    with (folder / "annotations" / "default.json").open("w") as stream:
        stream.write(json.dumps(head)[:-1] + ', "items": ')
        write_list(stream, (item(*pair) for pair in by_frame(snapshot)))
        stream.write("}")


def cvat_images(folder: Path, snapshot: Snapshot) -> None:
    """CVAT for images 1.1."""
    with (folder / "annotations.xml").open("w") as stream:
        stream.write(_head(len(snapshot.frames), "annotation"))
        for frame, shapes in by_frame(snapshot):
            stream.write(f'  <image id="{frame}" name="{frame:06d}.jpg" width="{SIDE}" height="{SIDE}">\n')
            for _, label, box in shapes:
                stream.write(f'    <box label="{NAMES[label]}" source="manual" occluded="0" {_corners(box)}></box>\n')
            stream.write("  </image>\n")
        stream.write("</annotations>\n")


def cvat_video(folder: Path, snapshot: Snapshot) -> None:
    """CVAT for video 1.1: tracks that span all frames, with a box on each, as CVAT writes them."""
    frames = len(snapshot.frames)
    with (folder / "annotations.xml").open("w") as stream:
        stream.write(_head(frames, "interpolation"))
        for track in range(TRACKS):
            label = NAMES[track % len(NAMES)]
            stream.write(f'  <track id="{track}" label="{label}" source="manual">\n')
            for frame, box in enumerate(_path(track, frames)):
                key = int(frame % KEYFRAME_EVERY == 0)
                facts = f'frame="{frame}" keyframe="{key}" outside="0" occluded="0"'
                stream.write(f'    <box {facts} {_corners(box)} z_order="0">\n    </box>\n')
            stream.write("  </track>\n")
        stream.write("</annotations>\n")


def yolo(folder: Path, snapshot: Snapshot) -> None:
    """Ultralytics YOLO: a list of images and a text for each."""
    (folder / "data" / "labels" / "train").mkdir(parents=True)
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(NAMES))
    (folder / "data.yaml").write_text(f"path: ./\ntrain: train.txt\nnames:\n{names}\n")
    with (folder / "train.txt").open("w") as listed:
        for frame, shapes in by_frame(snapshot):
            listed.write(f"data/images/train/{frame:06d}.jpg\n")
            lines = (
                f"{label} {(x1 + x2) / 2 / SIDE:.6f} {(y1 + y2) / 2 / SIDE:.6f} "
                f"{(x2 - x1) / SIDE:.6f} {(y2 - y1) / SIDE:.6f}\n"
                for _, label, (x1, y1, x2, y2) in shapes
            )
            place = folder / "data" / "labels" / "train" / f"{frame:06d}.txt"
            place.write_text("".join(lines))


EXPORTS: dict[str, Callable[[Path, Snapshot], None]] = {
    "coco": coco,
    "datumaro": datumaro,
    "cvat-images": cvat_images,
    "cvat-video": cvat_video,
    "yolo": yolo,
}
SERVER = "cvat"
SOURCES = (*EXPORTS, SERVER)


@contextmanager
def served(folder: Path, snapshot: Snapshot) -> Iterator[tuple[str, dict[str, str]]]:
    """A task of one job with tracks over all frames and single shapes; gives its address and the environment."""
    with FakeCvat() as cvat:
        files = sorted((folder / "photos").iterdir())
        task = cvat.add_task("memory", {file.name: file.read_bytes() for file in files}, [{"name": n} for n in NAMES])
        codes = cvat.labels(task)
        single = [
            {"type": "rectangle", "frame": frame, "label_id": codes[NAMES[label]], "points": box}
            for frame, shapes in by_frame(snapshot)
            for _, label, box in shapes[TRACKS // 2 :]
        ]
        tracks = [_keyframes(track, len(files), codes) for track in range(TRACKS // 2)]
        cvat.set_annotations(cvat.jobs(task)[0]["id"], {"shapes": single, "tracks": tracks})
        yield f"{cvat.url}/tasks/{task}", {"CVAT_ACCESS_TOKEN": ADMIN_TOKEN}


def _keyframes(track: int, frames: int, codes: dict[str, int]) -> Row:
    shapes = [
        {"type": "rectangle", "frame": frame, "points": box, "outside": False}
        for frame, box in enumerate(_path(track, frames))
        if frame % KEYFRAME_EVERY == 0
    ]
    return {"label_id": codes[NAMES[track]], "frame": 0, "shapes": shapes}


def _path(track: int, frames: int) -> Iterator[list[float]]:
    """One object's box on every frame: to and fro, slowly."""
    box = boxes(np.random.default_rng(track), 1)[0]
    for frame in range(frames):
        move = 3.0 * abs((frame + 17 * track) % 100 - 50) - 75
        yield (box + np.array([move, 0, move, 0])).clip(0, SIDE).tolist()


def _corners(xyxy: list[float]) -> str:
    return " ".join(f'{name}="{value:.2f}"' for name, value in zip(("xtl", "ytl", "xbr", "ybr"), xyxy, strict=True))


def _head(frames: int, mode: str) -> str:
    labels = "".join(f"<label><name>{name}</name><type>any</type></label>" for name in NAMES)
    segment = (
        f"<segment><id>1</id><start>0</start><stop>{frames - 1}</stop><url>http://localhost/api/jobs/1</url></segment>"
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><task><id>1</id>'
        f"<size>{frames}</size><mode>{mode}</mode><start_frame>0</start_frame><stop_frame>{frames - 1}</stop_frame>"
        f"<segments>{segment}</segments><labels>{labels}</labels>"
        f"<original_size><width>{SIDE}</width><height>{SIDE}</height></original_size></task></meta>\n"
    )
