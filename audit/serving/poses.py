"""Models that give more than boxes: keypoints as CVAT's skeletons, turned boxes as rotated rectangles.

Both go through ultralytics' own ``predict``, whose decoding of them is not worth a second one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.ultralytics.environment import default_device, load_ultralytics
from audit.errors import ServiceError, UsageError
from audit.serving.replies import Reply, rectangle_item, skeleton_item, turned_item
from audit.serving.requests import MAX_MEGAPIXELS, Body, detector_request
from audit.serving.specs import COCO_KEYPOINTS, renamed, spec_of, spec_of_poses

IMAGE_SIZE = 640
TASKS = ("pose", "obb")
VISIBLE = 0.5
"""Keypoints with a lower confidence are sent as outside: CVAT keeps their place in the skeleton, and hides them."""


class PoseFunction:
    """A pose or oriented-box model as CVAT calls it; see ``detecting.DetectorFunction`` for the arguments."""

    def __init__(
        self,
        weights: Path,
        *,
        threshold: float = 0.25,
        device: str | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        names: Mapping[str, str] | None = None,
        score_attribute: str = "",
    ) -> None:
        self.threshold, self.max_megapixels, self._attribute = threshold, max_megapixels, score_attribute
        self._device = device or default_device()
        self._yolo = load_ultralytics().YOLO(str(weights))
        self.task = str(self._yolo.task)
        if self.task not in TASKS:
            raise UsageError(f"{weights} is a model for '{self.task}', expected one of {', '.join(TASKS)}")
        self._run(np.zeros((64, 64, 3), np.uint8), 0.99)  # the first run takes longer, and tells of .onnx files' labels
        self._labels = renamed([str(n) for _, n in sorted(self._yolo.names.items())], names or {})
        self._keypoints = self._keypoint_names()
        self.notes: tuple[str, ...] = ()

    @property
    def spec(self) -> list[dict[str, Any]]:
        """The labels as CVAT wants them in the annotation ``spec``."""
        if self.task == "pose":
            return spec_of_poses(self._labels, self._keypoints, self._attribute)
        return spec_of(self.task, self._labels, self._attribute)

    def handle(self, body: Body) -> Reply:
        """All objects at or above the threshold, best first. Raises BadRequestError."""
        request = detector_request(body, self.threshold)
        rgb = request.picture.pixels(self.max_megapixels)
        found = self._run(rgb[..., ::-1], request.threshold)
        items = self._posed(found) if self.task == "pose" else self._turned(found)
        return Reply("[" + ", ".join(items) + "]", f"{len(items)} objects at {request.threshold:g}")

    def _run(self, bgr: np.ndarray, threshold: float) -> Any:
        try:
            return self._yolo.predict(
                np.ascontiguousarray(bgr), conf=threshold, imgsz=IMAGE_SIZE, device=self._device, verbose=False
            )[0]
        except RuntimeError as error:  # out of memory, mostly
            raise ServiceError(f"the model failed: {' '.join(str(error).split())[:200]}") from None

    def _posed(self, found: Any) -> list[str]:
        boxes = found.boxes.cpu().numpy()
        points = found.keypoints.cpu().numpy()
        sure = points.conf if points.conf is not None else np.ones(points.xy.shape[:2])
        rows = zip(boxes.cls.astype(int), boxes.conf, boxes.xyxy, points.xy, sure, strict=True)
        return [self._pose(self._labels[label], float(score), box, xy, seen) for label, score, box, xy, seen in rows]

    def _pose(self, label: str, score: float, box: np.ndarray, xy: np.ndarray, seen: np.ndarray) -> str:
        if not (seen >= VISIBLE).any():
            return rectangle_item(label, box.tolist(), score, self._attribute)
        return skeleton_item(label, self._keypoints, xy, seen >= VISIBLE, score, self._attribute)

    def _turned(self, found: Any) -> list[str]:
        boxes = found.obb.cpu().numpy()
        rows = zip(boxes.cls.astype(int), boxes.conf, boxes.xywhr, strict=True)
        return [
            turned_item(self._labels[label], xywhr.tolist(), float(score), self._attribute)
            for label, score, xywhr in rows
        ]

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
