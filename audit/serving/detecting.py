"""CVAT's detector: a picture in, boxes or masks out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audit.adapters.ultralytics.decoding import Thresholds
from audit.adapters.ultralytics.detector import Detector, open_model
from audit.adapters.ultralytics.runtimes import OtherTaskError
from audit.adapters.ultralytics.weights import find_weights
from audit.core.annotations import Predictions
from audit.core.words import amount
from audit.serving import poses, settings
from audit.serving.heap import reuse_memory
from audit.serving.replies import Reply, mask_item, rectangle_item, region_of
from audit.serving.requests import MAX_MEGAPIXELS, Body, detector_request
from audit.serving.specs import renamed, spec_of

IMAGE_SIZE = 640
DEFAULT_THRESHOLD = 0.25
"""What ultralytics' own ``predict`` takes; CVAT sends none unless the annotator fills the field in."""
KEPT_DETECTORS = 8
"""Thresholds in use at once; each is a thin layer over the one loaded network."""


class DetectorFunction:
    """A YOLO model as CVAT calls it."""

    def __init__(
        self,
        weights: Path,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        device: str | None = None,
        threads: int | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        names: Mapping[str, str] | None = None,
        score_attribute: str = "",
    ) -> None:
        """names: what to call the weights' classes in CVAT, where that differs.

        score_attribute: a label attribute that keeps the confidence, which CVAT otherwise drops.
        """
        self.threshold, self.max_megapixels, self._attribute = threshold, max_megapixels, score_attribute
        self._model = open_model(weights, device=device, image_size=IMAGE_SIZE, threads=threads)
        self._labels = renamed(self._model.labels, names or {})
        self._detectors: OrderedDict[float, Detector] = OrderedDict()
        self.notes = self._model.notes

    @property
    def task(self) -> str:
        return self._model.runtime.facts.task

    @property
    def spec(self) -> list[dict[str, Any]]:
        """The labels as CVAT wants them in the annotation ``spec``."""
        return spec_of(self.task, self._labels, self._attribute)

    def handle(self, body: Body) -> Reply:
        """All objects at or above the threshold, best first. Raises BadRequestError."""
        request = detector_request(body, self.threshold)
        rgb = request.picture.pixels(self.max_megapixels)
        items = self._items(self._detector(request.threshold).predict_pixels(rgb), (rgb.shape[0], rgb.shape[1]))
        return Reply("[" + ", ".join(items) + "]", f"{amount(len(items), 'object')} at {request.threshold:g}")

    def _items(self, found: Predictions, frame_hw: tuple[int, int]) -> list[str]:
        labels, attribute, masks = self._labels, self._attribute, self.task == "segment"
        items = []
        for label, score, xyxy, counts in zip(found.label, found.score, found.xyxy, found.mask, strict=True):
            if not masks:
                items.append(rectangle_item(labels[label], xyxy.tolist(), float(score), attribute))
                continue
            region = region_of(counts, frame_hw)
            if region is not None:
                items.append(mask_item(labels[label], region, float(score), attribute))
        return items

    def _detector(self, threshold: float) -> Detector:
        """The loaded network with this threshold; scores equal to it are kept."""
        if threshold not in self._detectors:
            model = self._model
            below = Thresholds(confidence=float(np.nextafter(np.float32(threshold), np.float32(-1))))
            self._detectors[threshold] = Detector(
                model.runtime,
                name=model.name,
                digest=model.digest,
                image_size=IMAGE_SIZE,
                thresholds=below,
                batch_size=1,
            )
            if len(self._detectors) > KEPT_DETECTORS:
                self._detectors.popitem(last=False)[1].close()
        self._detectors.move_to_end(threshold)
        return self._detectors[threshold]


class Function(Protocol):
    """What ``serverless/yolo`` needs of a loaded model."""

    notes: tuple[str, ...]

    @property
    def task(self) -> str:
        """As ultralytics calls it: detect, segment, pose, obb."""

    @property
    def spec(self) -> list[dict[str, Any]]: ...

    def handle(self, body: Body) -> Reply: ...


def open_function(weights: Path, *, device: str | None = None, threads: int | None = None, **options: Any) -> Function:
    """The function for whatever these weights give. options: as of ``DetectorFunction``. Raises UsageError."""
    try:
        return DetectorFunction(weights, device=device, threads=threads, **options)
    except OtherTaskError:
        return poses.PoseFunction(weights, device=device, **options)


def detector_from_environment(folder: Path | None = None) -> Function:
    """``YOLO_MODEL`` (a file in the function's folder, a path, or ``yolo11n``), ``YOLO_THRESHOLD``, ``YOLO_LABELS``

    (JSON: names in CVAT by class), ``SCORE_ATTRIBUTE``, ``DEVICE``, ``CPU_THREADS``, ``MAX_MEGAPIXELS``.
    Raises UsageError or ServiceError.
    """
    reuse_memory()
    weights = find_weights(settings.weights("YOLO_MODEL", "yolo11n", folder))
    device = settings.text("DEVICE", "") or None
    options: dict[str, Any] = {
        "threshold": settings.number("YOLO_THRESHOLD", DEFAULT_THRESHOLD, 0, 1),
        "max_megapixels": settings.number("MAX_MEGAPIXELS", MAX_MEGAPIXELS, 0.01, 200),
        "names": settings.names("YOLO_LABELS"),
        "score_attribute": settings.text("SCORE_ATTRIBUTE", ""),
    }
    return open_function(weights, device=device, threads=settings.threads(), **options)
