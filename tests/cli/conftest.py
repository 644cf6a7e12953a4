"""A small COCO export with photos and a results file, and a way to call the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SIDE = 200
BOX = [20.0, 30.0, 80.0, 60.0]  # xywh
COMMAND = [sys.executable, "-c", "from audit.cli import main; main()"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The process environment with caches and state of its own, and nothing of CVAT in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CVAT_", "FIFTYONE_", "XDG_")) and k != "PASS"}
    return {**kept, **{f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}}


@pytest.fixture
def cvat_audit(environment: dict[str, str], tmp_path: Path) -> Command:
    """Runs ``cvat-audit`` as a process; gives what it printed and its exit code."""

    def call(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *map(str, arguments)]
        env = {**environment, **more}
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=tmp_path,
                              check=False, timeout=120)  # fmt: skip

    return call


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Six photos of noise; all but the fourth have a person at BOX; the sixth has it twice; one crowd."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = []
    for i in range(6):
        name = f"{i:03d}.jpg"
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(folder / "images" / name)
        images.append({"id": 10 + i, "file_name": name, "width": SIDE, "height": SIDE})
    owners = [10, 11, 12, 14, 15, 15]
    annotations = [
        {"id": 100 + k, "image_id": i, "category_id": 1, "bbox": BOX, "area": 4800, "iscrowd": 0, "segmentation": []}
        for k, i in enumerate(owners)
    ]
    write_coco(folder / "annotations.json", images, annotations)
    return folder


def write_coco(path: Path, images: list[dict[str, object]], annotations: list[dict[str, object]]) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A person at BOX on every photo."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"image_id": 10 + i, "category_id": 1, "bbox": BOX, "score": 0.9} for i in range(6)]))
    return path
