"""(b) Wall time of a whole audit against bare inference of the same model on the same images.

The photos are those that come with installed packages, varied (cropped, mirrored) into distinct
files. Bare inference: the same ONNX session, run picture after picture on input made beforehand
(the least any audit could take); and ultralytics' own ``predict`` on the same files, decoding included.
Machines are now faster, now slower: bare inference and audit take turns, and the median ratio counts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from audit.adapters.digests import file_sha256
from audit.adapters.folders import cache_dir
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.export import exported
from audit.adapters.ultralytics.geometry import network_input, place
from audit.adapters.ultralytics.runtimes import OnnxRuntime
from audit.adapters.ultralytics.weights import find_weights
from audit.demo.export import picture
from audit.demo.scenes import SCENES
from scripts.benchmarks.output import show

IMAGES = 300


def make_set(folder: Path, count: int) -> list[Path]:
    """``count`` distinct JPEGs of at most 640 px and a COCO file without labels beside them."""
    rng = np.random.default_rng(0)
    sources = [Image.open(io.BytesIO(picture(scene))).convert("RGB") for scene in SCENES]
    paths = []
    for i in range(count):
        image = sources[i % len(sources)]
        left, top, right, bottom = rng.uniform(0, 0.12, 4) * np.tile(image.size, 2)
        image = image.crop((int(left), int(top), int(image.width - right), int(image.height - bottom)))
        image = ImageOps.mirror(image) if rng.random() < 0.5 else image
        image.thumbnail((640, 640))
        paths.append(folder / "images" / f"{i:06d}.jpg")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        image.save(paths[-1], quality=90)
    return paths


def write_coco(folder: Path, paths: list[Path]) -> None:
    """Labels: one box an image, so that there is something to compare."""
    images, annotations = [], []
    for i, path in enumerate(paths):
        width, height = Image.open(path).size
        images.append({"id": i, "file_name": path.name, "width": width, "height": height})
        box = [width / 4, height / 4, width / 2, height / 2]
        annotations.append({"id": i + 1, "image_id": i, "category_id": 1, "bbox": box, "area": box[2] * box[3],
                            "iscrowd": 0, "segmentation": []})  # fmt: skip
    data: dict[str, Any] = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(data))


def bare_session(paths: list[Path], weights: Path) -> float:
    """Seconds of the network alone: input made beforehand, one picture after another, each on all cores."""
    onnx = exported(weights, file_sha256(weights), 640)
    runtime = OnnxRuntime(onnx, threads=os.cpu_count() or 1)
    inputs = []
    for path in paths:
        rgb = np.asarray(Image.open(path).convert("RGB"))
        inputs.append(network_input(rgb, place(rgb.shape[:2], (640, 640), runtime.facts.stride)))
    runtime.forward(inputs[0])
    start = time.perf_counter()
    for batch in inputs:
        runtime.forward(batch)
    return time.perf_counter() - start


def bare_predict(paths: list[Path], weights: Path) -> float:
    """Seconds of ultralytics' predict, file to boxes, on torch."""
    model = load_ultralytics().YOLO(str(weights))
    model.predict(str(paths[0]), conf=0.01, verbose=False)
    start = time.perf_counter()
    for path in paths:
        model.predict(str(path), conf=0.01, verbose=False)
    return time.perf_counter() - start


def whole_audit(folder: Path, out: Path, cache: Path) -> tuple[float, dict[str, float]]:
    """Seconds of the command, from process start to exit, with no prediction cached; and its own timings."""
    command = [sys.executable, "-c", "from audit.cli import main; main()", "run", str(folder), "--out", str(out)]
    options = ["--model", "yolo11n", "--no-fiftyone", "--allow-unmatched"]
    start = time.perf_counter()
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "XDG_CACHE_HOME": str(cache)})  # fmt: skip
    return time.perf_counter() - start, json.loads((out / "manifest.json").read_text())["timings"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "set"
        paths = make_set(folder, args.images)
        weights = find_weights("yolo11n")
        write_coco(folder, paths)
        ultralytics = bare_predict(paths, weights)
        show("ultralytics predict (torch), file to boxes", images=args.images, seconds=ultralytics)
        ratios = []
        for i in range(args.rounds):
            cache, out = Path(name) / f"cache{i}", Path(name) / f"run{i}"
            shutil.copytree(cache_dir("weights"), cache / "cvat-audit" / "weights")
            session = bare_session(paths, weights)
            show("bare onnxruntime forward, input ready", images=args.images, seconds=session)
            seconds, stages = whole_audit(folder, out, cache)
            ratios.append(seconds / session)
            show("cvat-audit run, everything but FiftyOne", seconds=seconds, times_bare_forward=ratios[-1],
                 times_ultralytics=seconds / ultralytics, **{f"stage_{k}": v for k, v in stages.items()})  # fmt: skip
            again, _ = whole_audit(folder, out, cache)
            show("the same again, all predictions cached", seconds=again)
    show("median of the rounds", times_bare_forward=statistics.median(ratios))


if __name__ == "__main__":
    main()
