"""A task on the double, a model's results for it, and the commands as a user calls them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from audit.cli import cli
from tests.doubles.cvat import FakeCvat

SIDE = 200
PERSON = [20.0, 30.0, 80.0, 60.0]  # xywh
CAR = [120.0, 120.0, 50.0, 40.0]
LABELS: list[dict[str, Any]] = [{"name": "person"}, {"name": "car"}]
Detection = tuple[str, list[float], float]


def photo(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def photos(count: int) -> dict[str, bytes]:
    return {f"{i:03d}.jpg": photo(i) for i in range(count)}


@dataclass
class Scene:
    """Six photos in two jobs of three."""

    server: FakeCvat
    folder: Path
    task: int

    @property
    def source(self) -> str:
        return self.server.url.replace("http://", "cvat://") + f"/tasks/{self.task}"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def jobs(self) -> list[int]:
        return [int(job["id"]) for job in self.server.jobs(self.task)]

    def results(self, detections: Iterable[Detection], frames: Iterable[int] = range(6)) -> Path:
        """A results file with the same detections on each of these frames."""
        path = self.folder / "results.json"
        found = list(detections)
        rows = [
            {"file_name": f"{i:03d}.jpg", "category_name": label, "bbox": box, "score": score}
            for i in frames
            for label, box, score in found
        ]
        path.write_text(json.dumps(rows))
        return path

    def call(self, *arguments: object) -> Result:
        """The command, with this source and folder."""
        name, *rest = arguments
        return invoke(name, self.source, "--out", self.out, *rest)

    def undo(self) -> Result:
        return invoke("undo", self.out, "--yes")

    def shapes(self, frame: int | None = None) -> list[dict[str, Any]]:
        """What the task's jobs hold, or one frame of them."""
        every = [s for job in self.jobs for s in self.server.annotations(job)["shapes"]]
        return [s for s in every if frame in (None, s["frame"])]

    def change(self, shape: dict[str, Any], action: str = "update") -> None:
        """What a person does to a stored shape through the API."""
        from cvat_sdk import make_client, models

        job = self.jobs[shape["frame"] // 3]
        with make_client(self.server.url, access_token="admin-token") as client:
            body = models.PatchedLabeledDataRequest(shapes=[models.LabeledShapeRequest(**shape)], tags=[], tracks=[])
            client.api_client.jobs_api.partial_update_annotations(action, job, patched_labeled_data_request=body)

    def draw(self, frame: int, box: list[float], label: str = "person") -> None:
        """A person's own rectangle (xyxy)."""
        label_id = self.server.labels(self.task)[label]
        shape = {"type": "rectangle", "frame": frame, "label_id": label_id, "points": box}
        self.change({**shape, "source": "manual"}, "create")


def discs(count: int) -> dict[str, bytes]:
    """Grey pictures with a white disc (radius 30 at 60, 60) and a white square ring (100-180, 20 wide)."""
    files = {}
    y, x = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        pixels = np.full((SIDE, SIDE, 3), 60 + i, np.uint8)
        pixels[(x + 0.5 - 60) ** 2 + (y + 0.5 - 60) ** 2 < 30**2] = 255
        pixels[100:180, 100:180] = 255
        pixels[120:160, 120:160] = 60 + i
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        files[f"{i:03d}.png"] = stream.getvalue()
    return files


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def xyxy(xywh: list[float]) -> list[float]:
    x, y, w, h = xywh
    return [x, y, x + w, y + h]
