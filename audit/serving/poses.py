"""Models that give more than boxes: keypoints as CVAT's skeletons, turned boxes as rotated rectangles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.ultralytics.poses import PoseModel
from audit.core.words import amount
from audit.serving.replies import Reply, rectangle_item, skeleton_item, turned_item
from audit.serving.requests import MAX_MEGAPIXELS, Body, detector_request
from audit.serving.specs import renamed, spec_of, spec_of_poses

IMAGE_SIZE = 640
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
        self._model = PoseModel(weights, device=device, image_size=IMAGE_SIZE)
        self.task, self._keypoints = self._model.task, self._model.keypoints
        self._labels = renamed(self._model.labels, names or {})
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
        found = self._model.run(rgb[..., ::-1], request.threshold)
        items = self._posed(found) if self.task == "pose" else self._turned(found)
        return Reply("[" + ", ".join(items) + "]", f"{amount(len(items), 'object')} at {request.threshold:g}")

    def _posed(self, found: Any) -> list[str]:
        rows = self._model.poses(found)
        return [self._pose(self._labels[label], score, box, xy, sure) for label, score, box, xy, sure in rows]

    def _pose(self, label: str, score: float, box: np.ndarray, xy: np.ndarray, seen: np.ndarray) -> str:
        if not (seen >= VISIBLE).any():
            return rectangle_item(label, box.tolist(), score, self._attribute)
        return skeleton_item(label, self._keypoints, xy, seen >= VISIBLE, score, self._attribute)

    def _turned(self, found: Any) -> list[str]:
        return [
            turned_item(self._labels[label], xywhr.tolist(), score, self._attribute)
            for label, score, xywhr in self._model.turned(found)
        ]
