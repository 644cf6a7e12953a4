"""Our detector as a function of ``cvat_sdk.auto_annotation``, for ``cvat-cli task auto-annotate`` and other callers.

``cvat-audit prelabel`` does the same with more care: it resumes, doubles nothing, skips bad frames by itself,
and takes back what it drew. This is for who calls the SDK anyway.
"""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from cvat_sdk import models
from PIL import Image, ImageOps

from audit.errors import UsageError
from audit.serving.detecting import DEFAULT_THRESHOLD, open_function
from audit.serving.replies import Region, Reply, mask_points
from audit.serving.requests import BadRequestError

PLAIN_MODES = ("RGB", "L", "RGBA", "P", "LA", "1", "I;16", "I")
"""Pillow's kinds of pixels that a PNG holds as they are."""

Item = Mapping[str, Any]


class Handler(Protocol):
    """A function as CVAT calls it, such as that of ``serverless/yolo``."""

    @property
    def spec(self) -> list[dict[str, Any]]: ...

    def handle(self, body: Mapping[str, Any]) -> Reply: ...


class DetectionFunction:
    """A ``cvat_sdk.auto_annotation.DetectionFunction`` around a handler.

    Scores go into ``score``; the SDK itself sets ``source``. A picture that cannot be used gives no shapes
    and a warning in the log, so that it does not end the whole task.
    """

    def __init__(self, handler: Handler, *, threshold: float = DEFAULT_THRESHOLD) -> None:
        self._handler, self._threshold = handler, threshold
        self._log = logging.getLogger("cvat-audit")
        spec = handler.spec
        self._labels = {str(label["name"]): label for label in spec}
        self.spec = cvataa.DetectionFunctionSpec(labels=[_label(label) for label in spec])

    def detect(self, context: cvataa.DetectionFunctionContext, image: Image.Image) -> list[cvataa.DetectionAnnotation]:
        """Shapes at or above the context's threshold, ours if it states none; best first."""
        asked = context.conf_threshold
        body = {"image": _encoded(image), "threshold": self._threshold if asked is None else asked}
        try:
            items = json.loads(self._handler.handle(body).text)
        except BadRequestError as error:
            self._log.warning("%s: skipped: %s", context.frame_name, error)
            return []
        return [shape for item in items for shape in self._shapes(item, to_polygon=context.conv_mask_to_poly)]

    def _shapes(self, item: Item, *, to_polygon: bool) -> list[models.LabeledShapeRequest]:
        label, kind = self._labels[item["label"]], str(item["type"])
        if label["type"] not in ("any", kind):
            return []  # a skeleton of which no point is seen comes as a box, which its label does not take
        make = {"rectangle": _rectangle, "mask": _polygon if to_polygon else _mask, "skeleton": _skeleton}[kind]
        return [make(int(label["id"]), item, label)]


def create(model: str = "yolo11n", device: str = "", threshold: float = DEFAULT_THRESHOLD) -> DetectionFunction:
    """What ``cvat-cli`` calls, with its ``-p model=str:best.pt -p device=str:cuda -p threshold=float:0.4``.

    model: ultralytics weights (detection, segmentation, pose, oriented boxes), or ``yolo11n``.
    """
    from audit.adapters.ultralytics.weights import find_weights

    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold: expected a number from 0 to 1, got {threshold:g}")
    return DetectionFunction(open_function(Path(find_weights(model)), device=device or None), threshold=threshold)


def _label(label: Item) -> models.PatchedLabelRequest:
    if label["type"] != "skeleton":
        return cvataa.label_spec(str(label["name"]), int(label["id"]), type=str(label["type"]))
    parts = [cvataa.keypoint_spec(str(part["name"]), int(part["id"])) for part in label["sublabels"]]
    return cvataa.skeleton_label_spec(str(label["name"]), int(label["id"]), parts)


def _rectangle(label: int, item: Item, _: Item) -> models.LabeledShapeRequest:
    facts = {"rotation": float(item["rotation"])} if "rotation" in item else {}
    return cvataa.rectangle(label, [float(v) for v in item["points"]], score=_score(item), **facts)


def _polygon(label: int, item: Item, _: Item) -> models.LabeledShapeRequest:
    return cvataa.polygon(label, [float(v) for v in item["points"]], score=_score(item))


def _mask(label: int, item: Item, _: Item) -> models.LabeledShapeRequest:
    *flat, left, top, right, bottom = item["mask"]
    crop = np.array(flat, bool).reshape(bottom - top + 1, right - left + 1)
    return cvataa.mask(label, [float(v) for v in mask_points(Region(crop, left, top))], score=_score(item))


def _skeleton(label: int, item: Item, spec: Item) -> models.LabeledShapeRequest:
    ids = {str(part["name"]): int(part["id"]) for part in spec["sublabels"]}
    points = [
        cvataa.keypoint(ids[e["label"]], [float(v) for v in e["points"]], outside=bool(e.get("outside")))
        for e in item["elements"]
    ]
    return cvataa.skeleton(label, points, score=_score(item))


def _score(item: Item) -> float:
    return float(item["confidence"])


def _encoded(image: Image.Image) -> str:
    """The picture as CVAT shows it, turned as its EXIF says, in a file without loss."""
    shown = ImageOps.exif_transpose(image)
    if shown.mode not in PLAIN_MODES:
        shown = shown.convert("RGB")
    stream = io.BytesIO()
    # uncompressed: it is read again at once
    shown.save(stream, "PNG", compress_level=0)
    return base64.b64encode(stream.getvalue()).decode("ascii")
