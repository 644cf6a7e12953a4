"""(c) Peak memory of a whole audit at 1,000 and at 20,000 frames.

Every frame has 7 labels and a small JPEG. Two runs each: with a results file (72 predictions a frame down to
0.01, a picture of its own for every frame), and with yolo11n (the same few photos again and again, so the model
runs seldom and what grows is what the audit itself keeps; that these look alike and are labelled at random would be
reported 20,000 times, so only what a model tells is asked for).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from audit.core.annotations import Annotations, Predictions
from audit.core.findings import MODEL_FREE, FindingType
from audit.demo.export import picture
from audit.demo.scenes import SCENES
from scripts.benchmarks.output import show
from tests.scenes import SIDE, scene

NAMES = ("person", "car", "bus", "cat", "dog", "cup", "chair", "truck", "tie", "spoon")
MODELS_TYPES = [word for kind in FindingType if kind not in MODEL_FREE for word in ("--type", kind.code)]
MEASURED = """
import re, sys
from pathlib import Path
from audit.cli import main
try:
    main()
finally:
    # not getrusage: its peak includes what the parent had when it started this process
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)
    print(peak, file=sys.stderr)
"""


def make_set(folder: Path, frames: int) -> None:
    """A COCO export, ``photos`` (hard links to a few files) and ``pictures`` for its frames, and a results file."""
    snapshot, predictions = scene(0, frames=frames, per_frame=7.0, predicted=72.0, labels=10)
    photos, pictures = folder.parent / "photos", folder.parent / "pictures"
    for each in (folder, photos, pictures):
        each.mkdir(parents=True)
    for i, photo in enumerate(SCENES):
        image = Image.open(io.BytesIO(picture(photo))).convert("RGB").resize((SIDE, SIDE))
        image.save(folder.parent / f"photo{i}.jpg", quality=80)
    rng = np.random.default_rng(0)
    for i in range(frames):
        os.link(folder.parent / f"photo{i % len(SCENES)}.jpg", photos / f"{i:06d}.jpg")
        blots = Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8))
        blots.resize((SIDE, SIDE)).save(pictures / f"{i:06d}.jpg", quality=50)
    a, p = snapshot.annotations, predictions
    with (folder / "annotations.json").open("w") as stream:
        sizes = ({"id": i, "file_name": f"{i:06d}.jpg", "width": SIDE, "height": SIDE} for i in range(frames))
        stream.write('{"images": ')
        write_list(stream, sizes)
        stream.write(', "categories": ' + json.dumps([{"id": i + 1, "name": n} for i, n in enumerate(NAMES)]))
        stream.write(', "annotations": ')
        write_list(stream, ({"id": i + 1, "iscrowd": 0, "segmentation": [], **row} for i, row in enumerate(rows(a))))
        stream.write("}")
    with (folder.parent / "results.json").open("w") as stream:
        scores = p.score.tolist()
        write_list(stream, ({"score": scores[i], **row} for i, row in enumerate(rows(p))))


def rows(table: Annotations | Predictions) -> Iterator[dict[str, Any]]:
    """COCO's words for the columns that labels and results share."""
    columns = (table.frame.tolist(), table.label.tolist(), table.xyxy.tolist())
    for frame, label, (x1, y1, x2, y2) in zip(*columns, strict=True):
        w, h = x2 - x1, y2 - y1
        yield {"image_id": frame, "category_id": label + 1, "bbox": [x1, y1, w, h], "area": w * h}


def write_list(stream: IO[str], items: Iterable[object]) -> None:
    """A JSON list, written item by item."""
    stream.write("[")
    for k, item in enumerate(items):
        stream.write((",\n" if k else "\n") + json.dumps(item))
    stream.write("]")


def peak(arguments: list[str]) -> tuple[float, float]:
    """Peak resident memory in MB and wall time in seconds of one command."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return int(done.stderr.strip().splitlines()[-1]) / 1024, time.perf_counter() - start


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 20000])
    args = parser.parse_args()
    peaks: dict[str, list[tuple[int, float]]] = {}
    for frames in args.frames:
        with tempfile.TemporaryDirectory() as name:
            make_set(Path(name) / "set", frames)
            for what, option in (
                ("results file", ["--images", f"{name}/pictures", "--predictions", f"{name}/results.json"]),
                ("yolo11n", ["--images", f"{name}/photos", "--model", "yolo11n", *MODELS_TYPES]),
            ):
                out = f"{name}/run-{what.replace(' ', '-')}"
                megabytes, seconds = peak(["run", f"{name}/set", *option, "--out", out, "--no-fiftyone"])
                stages = json.loads((Path(out) / "manifest.json").read_text())["timings"]
                show(f"cvat-audit run, {what}", frames=frames, peak_mb=megabytes, seconds=seconds, **stages)
                peaks.setdefault(what, []).append((frames, megabytes))
    for what, ((few, low), *_, (many, high)) in ((w, p) for w, p in peaks.items() if len(p) > 1):
        slope = 1024 * (high - low) / (many - few)
        show(f"growth, {what}", frames=many - few, mb=high - low, share=high / low - 1, kb_per_frame=slope)


if __name__ == "__main__":
    main()
