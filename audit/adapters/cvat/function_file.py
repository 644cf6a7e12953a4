"""A function file of ``cvat_sdk.auto_annotation`` (as for ``cvat-cli --function-file``) as a ``Predictor``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.adapters.cvat.geometry import Geometry, ShapeError, geometry
from audit.adapters.one_by_one import OneByOne
from audit.core.annotations import Predictions, ShapeType
from audit.core.labels import listing
from audit.core.masks import box_of, rle_of_rings
from audit.core.table import FloatArray, objects
from audit.errors import UsageError

LOWEST = 0.01
"""The threshold the function is asked with; what is drawn is decided later."""
DRAWN = ("any", "rectangle", "polygon", "mask", "skeleton")
"""Types of labels whose shapes are drawn; others are left out."""


class _Context(cvataa.DetectionFunctionContext):  # type: ignore[misc]  # cvat_sdk states no types
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def frame_name(self) -> str:
        return self._name

    @property
    def conf_threshold(self) -> float | None:
        return LOWEST

    @property
    def conv_mask_to_poly(self) -> bool:
        return False


class FunctionFile(OneByOne):
    """See ``audit.ports.Predictor``. Never cached: what the code depends on cannot be known.

    keypoints: of each label that is a skeleton, the points' names.
    """

    digest = ""

    def __init__(self, name: str, function: Any) -> None:
        self.name, self._function = name, function
        spec = list(function.spec.labels)
        self.labels = tuple(str(label.name) for label in spec)
        self._codes = {int(label.id): code for code, label in enumerate(spec)}
        strange = [str(s.name) for s in spec if str(getattr(s, "type", "any") or "any") not in DRAWN]
        self._left_out = {self.labels.index(name) for name in strange}
        self.notes: tuple[str, ...] = ("a function file is not cached: every run calls it again for every frame",)
        if strange:
            self.notes += (
                f"only rectangles, polygons, masks and skeletons are drawn, so these are left out: {listing(strange)}",
            )
        self._parts = {
            code: {int(part.id): i for i, part in enumerate(label.sublabels)}
            for code, label in enumerate(spec)
            if str(getattr(label, "type", "any") or "any") == "skeleton"
        }
        self.keypoints = {
            self.labels[code]: tuple(str(part.name) for part in spec[code].sublabels) for code in self._parts
        }

    def look(self, name: str, rgb: NDArray[np.uint8]) -> Predictions | str:
        """What the function finds; a picture on which it fails is told."""
        try:
            found = self._function.detect(_Context(name), Image.fromarray(rgb))
            return self._table(found, (rgb.shape[0], rgb.shape[1]))
        except ShapeError as error:
            return f"the function gave what is no shape: {error}"
        except Exception as error:  # the function is foreign code, which raises whatever it likes
            return f"the function failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _table(self, found: Sequence[Any], hw: tuple[int, int]) -> Predictions:
        boxes, labels, scores, masks, points, rotations = [], [], [], [], [], []
        for made in found:
            raw = made.to_dict()
            label = self._codes[int(raw["label_id"])]
            if label in self._left_out:
                continue
            place = geometry(raw, hw)
            rings: tuple[FloatArray, ...] | None = place.points if place.rotation else None
            if place.shape is ShapeType.SKELETON:
                rings = self._skeleton(raw, label)
            box, mask = _place(raw, place, hw)
            boxes.append(box)
            labels.append(label)
            scores.append(float(raw.get("score", 1.0)))
            masks.append(mask)
            points.append(rings)
            rotations.append(place.rotation if rings is not None else 0.0)
        return Predictions(
            xyxy=np.array(boxes, np.float64).reshape(-1, 4),
            label=np.array(labels, np.int64),
            score=np.clip(np.array(scores, np.float64), 0, 1),
            mask=objects(masks),
            points=objects(points),
            rotation=np.array(rotations, np.float64),
        )

    def _skeleton(self, raw: Mapping[str, Any], label: int) -> tuple[FloatArray, FloatArray]:
        """A skeleton's points in the order of its label, as ``Predictions.points`` has them. Raises ShapeError."""
        rows = self._parts.get(label, {})
        xy, sure = np.full((len(rows), 2), np.nan), np.zeros((len(rows), 2))
        for part in raw.get("elements") or []:
            if int(part["label_id"]) not in rows:
                raise ShapeError(f"a skeleton's point of the unknown label {part['label_id']}")
            row = rows[int(part["label_id"])]
            xy[row], sure[row] = [float(v) for v in part["points"]], 0.0 if part.get("outside") else 1.0
        if not np.isfinite(xy).all():
            raise ShapeError(f"a skeleton needs all of its {len(rows)} points")
        return xy, sure


def open_function_file(path: Path, parameters: Mapping[str, Any]) -> FunctionFile:
    """Load the file, which is run as a program is. Raises UsageError for one that is not a detection function."""
    module = _loaded(path)
    try:
        made: Any = module
        if hasattr(module, "create"):
            made = module.create(**parameters)
        elif parameters:
            raise UsageError(f"{path} has no function create(...), so it takes no --parameter")
    except TypeError as error:
        raise UsageError(f"{path}: create cannot be called so ({error})") from None
    if not isinstance(getattr(made, "spec", None), cvataa.DetectionFunctionSpec) or not hasattr(made, "detect"):
        raise UsageError(f"{path} is not a detection function: it needs 'spec' (a DetectionFunctionSpec) and 'detect'")
    return FunctionFile(path.name, made)


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("cvat_audit_function_file", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, OSError) as error:
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from None
    return module


def _place(raw: Mapping[str, Any], place: Geometry, hw: tuple[int, int]) -> tuple[tuple[float, ...], bytes | None]:
    """The box around a shape, and its mask (RLE counts of the frame) if it is more than a box. Raises ShapeError."""
    if place.shape in (ShapeType.RECTANGLE, ShapeType.SKELETON):
        return place.xyxy, None
    if place.shape is ShapeType.POLYGON and place.points is not None:
        return place.xyxy, rle_of_rings(place.points, hw)
    if place.shape is ShapeType.MASK and place.mask is not None:
        return tuple(float(v) for v in box_of(place.mask, hw)), place.mask
    raise ShapeError(f"a {raw['type']} cannot be drawn here")
