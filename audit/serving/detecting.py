"""CVAT's detector: a picture in, boxes or masks out."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from audit.adapters.pictures import size_hw
from audit.adapters.ultralytics.decoding import Thresholds
from audit.adapters.ultralytics.detector import Detector, open_model
from audit.adapters.ultralytics.weights import find_weights
from audit.core.annotations import Predictions
from audit.ports import PredictItem
from audit.serving import settings
from audit.serving.replies import Reply, mask_item, rectangle_item, tight
from audit.serving.requests import MAX_MEGAPIXELS, BadRequestError, Body, detector_request

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
    ) -> None:
        self.threshold, self.max_megapixels = threshold, max_megapixels
        self._model = open_model(weights, device=device, image_size=IMAGE_SIZE, threads=threads)
        self._detectors: OrderedDict[float, Detector] = OrderedDict()
        self.notes = self._model.notes

    @property
    def spec(self) -> list[dict[str, Any]]:
        """The labels as CVAT wants them in the annotation ``spec``: the weights' own names."""
        return spec_of(self._model)

    def handle(self, body: Body) -> Reply:
        """All objects at or above the threshold, best first. Raises BadRequestError."""
        request = detector_request(body, self.threshold)
        data = request.picture.checked_data(self.max_megapixels)
        item = PredictItem(0, "", -1, -1, 0, size_hw=(0, 0), sha256="", data=data)
        (found,) = self._detector(request.threshold).predict([item])
        if isinstance(found, str):
            raise BadRequestError(f"the image {found}")
        items = self._items(found, data)
        return Reply("[" + ", ".join(items) + "]", f"{len(items)} objects at {request.threshold:g}")

    def _items(self, found: Predictions, data: bytes) -> list[str]:
        labels, masks = self._model.labels, self._model.runtime.facts.task == "segment"
        frame_hw = size_hw(data) if masks else (0, 0)
        items = []
        for label, score, xyxy, counts in zip(found.label, found.score, found.xyxy, found.mask, strict=True):
            if not masks:
                items.append(rectangle_item(labels[label], xyxy.tolist(), float(score)))
                continue
            region = tight(np.asarray(coco_mask.decode({"size": list(frame_hw), "counts": counts}), bool))
            if region is not None:
                items.append(mask_item(labels[label], region, float(score)))
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


def spec_of(model: Detector) -> list[dict[str, Any]]:
    """CVAT's label list of a loaded model: its class names, masks for segmentation, else rectangles."""
    kind = "mask" if model.runtime.facts.task == "segment" else "rectangle"
    return [{"id": i, "name": name, "type": kind, "attributes": []} for i, name in enumerate(model.labels)]


def spec_text(spec: list[dict[str, Any]]) -> str:
    """The annotation's text: JSON in a string, which is what CVAT parses."""
    return json.dumps(spec, ensure_ascii=False)


def detector_from_environment() -> DetectorFunction:
    """``YOLO_MODEL`` (a path, or ``yolo11n``), ``YOLO_THRESHOLD``, ``DEVICE``, ``CPU_THREADS``, ``MAX_MEGAPIXELS``.

    Raises UsageError or ServiceError.
    """
    return DetectorFunction(
        find_weights(settings.text("YOLO_MODEL", "yolo11n")),
        threshold=settings.number("YOLO_THRESHOLD", DEFAULT_THRESHOLD, 0, 1),
        device=settings.text("DEVICE", "") or None,
        threads=settings.threads(),
        max_megapixels=settings.number("MAX_MEGAPIXELS", MAX_MEGAPIXELS, 0.01, 200),
    )
