"""Pose and oriented-box models: keypoints and turned boxes, as ultralytics' own ``predict`` gives them.

Its decoding of them is not worth a second one here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.digests import file_sha256
from audit.adapters.one_by_one import OneByOne
from audit.adapters.ultralytics.environment import default_device, installed_version, load_ultralytics
from audit.core.annotations import Predictions
from audit.core.masks import rotated_rectangle
from audit.core.skeletons import COCO_KEYPOINTS
from audit.core.table import FloatArray, objects
from audit.errors import ServiceError, UsageError
from audit.ports import Predictor

TASKS = ("pose", "obb")
LOWEST = 0.01
"""Objects of a lower score are not kept; what is drawn is decided later."""


class PoseModel:
    """The weights of one. task: of ``TASKS``. labels: classes by code. keypoints: names, () for turned boxes."""

    def __init__(self, weights: Path, *, device: str | None = None, image_size: int = 640) -> None:
        """Raises UsageError for weights of another task."""
        self._device, self._image_size = device or default_device(), image_size
        self._yolo = load_ultralytics().YOLO(str(weights))
        self.task = str(self._yolo.task)
        if self.task not in TASKS:
            raise UsageError(f"{weights} is a model for '{self.task}', expected one of {', '.join(TASKS)}")
        self.run(np.zeros((64, 64, 3), np.uint8), 0.99)  # the first run takes longer, and tells of .onnx files' labels
        self.labels = tuple(str(n) for _, n in sorted(self._yolo.names.items()))
        self.keypoints = self._keypoint_names()

    def run(self, bgr: NDArray[np.uint8], threshold: float) -> Any:
        """ultralytics' ``Results`` for one picture (h, w, 3). Raises ServiceError."""
        try:
            return self._yolo.predict(
                np.ascontiguousarray(bgr), conf=threshold, imgsz=self._image_size, device=self._device, verbose=False
            )[0]
        except RuntimeError as error:  # out of memory, mostly
            raise ServiceError(f"the model failed: {' '.join(str(error).split())[:200]}") from None

    def poses(self, found: Any) -> list[tuple[int, float, FloatArray, FloatArray, FloatArray]]:
        """Of each object: label, score, box (4,) xyxy, keypoints (k, 2), and how sure the model is of each (k,)."""
        boxes, points = found.boxes.cpu().numpy(), found.keypoints.cpu().numpy()
        sure = points.conf if points.conf is not None else np.ones(points.xy.shape[:2])
        rows = zip(boxes.cls.astype(int).tolist(), boxes.conf, boxes.xyxy, points.xy, sure, strict=True)
        return [(label, float(score), box, xy, seen) for label, score, box, xy, seen in rows]

    def turned(self, found: Any) -> list[tuple[int, float, FloatArray]]:
        """Of each object: label, score, and xywhr (5,): middle, width, height in pixels, radians clockwise."""
        boxes = found.obb.cpu().numpy()
        rows = zip(boxes.cls.astype(int).tolist(), boxes.conf, boxes.xywhr, strict=True)
        return [(label, float(score), xywhr) for label, score, xywhr in rows]

    def _keypoint_names(self) -> tuple[str, ...]:
        if self.task != "pose":
            return ()
        network = self._yolo.predictor.model
        shape = getattr(network, "kpt_shape", None) or getattr(self._yolo.model, "kpt_shape", None)
        count = int(shape[0]) if shape else 0
        own = getattr(network, "kpt_names", None)
        named = next(iter(own.values()), None) if isinstance(own, dict) else None
        if named and len(set(named)) == count:
            return tuple(map(str, named))
        return COCO_KEYPOINTS if count == len(COCO_KEYPOINTS) else tuple(str(i + 1) for i in range(count))


class PosePredictor(OneByOne):
    """See ``audit.ports.Predictor``. keypoints: of each class whose objects are skeletons, the points' names."""

    def __init__(self, weights: Path, *, device: str | None = None, image_size: int = 640) -> None:
        """Raises UsageError for weights of another task."""
        self._model = PoseModel(weights, device=device, image_size=image_size)
        self.name, self.labels, self.notes = weights.name, self._model.labels, ()
        self.keypoints: Mapping[str, tuple[str, ...]] = (
            dict.fromkeys(self.labels, self._model.keypoints) if self._model.task == "pose" else {}
        )
        facts = [file_sha256(weights), self._model.task, image_size, LOWEST, installed_version("ultralytics")]
        self.digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def look(self, name: str, rgb: NDArray[np.uint8]) -> Predictions:  # noqa: ARG002  a function file asks for it
        """The objects of one picture (h, w, 3)."""
        found = self._model.run(rgb[..., ::-1], LOWEST)
        if self._model.task == "pose":
            return _skeletons(self._model.poses(found))
        return _turned(self._model.turned(found))


def _skeletons(rows: Sequence[tuple[int, float, FloatArray, FloatArray, FloatArray]]) -> Predictions:
    return Predictions(
        xyxy=np.array([box for _, _, box, _, _ in rows], np.float64).reshape(-1, 4),
        label=np.array([label for label, *_ in rows], np.int64),
        score=np.array([score for _, score, *_ in rows], np.float64),
        points=objects((_floats(xy), _floats(np.column_stack([sure, sure]))) for *_, xy, sure in rows),
    )


def _turned(rows: Sequence[tuple[int, float, FloatArray]]) -> Predictions:
    upright = [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for _, _, (x, y, w, h, _) in rows]
    degrees = np.rad2deg(np.array([xywhr[4] for *_, xywhr in rows], np.float64)) % 360
    corners = [rotated_rectangle(box, turn) for box, turn in zip(upright, degrees.tolist(), strict=True)]
    boxes = [[*ring.min(axis=0), *ring.max(axis=0)] for ring in corners]
    return Predictions(
        xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        label=np.array([label for label, *_ in rows], np.int64),
        score=np.array([score for _, score, _ in rows], np.float64),
        points=objects((ring,) for ring in corners),
        rotation=degrees,
    )


def _floats(values: FloatArray) -> FloatArray:
    return np.asarray(values, np.float64)


_conforms: type[Predictor] = PosePredictor  # mypy checks the contract here
