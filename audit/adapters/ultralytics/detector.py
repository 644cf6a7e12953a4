"""A YOLO model as a ``Predictor``: frames in, boxes and masks out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audit.adapters.digests import file_sha256
from audit.adapters.pictures import PictureError, decode_rgb
from audit.adapters.ultralytics.decoding import Thresholds, detections, frame_masks
from audit.adapters.ultralytics.environment import default_device, installed_version
from audit.adapters.ultralytics.export import ExportError, exported
from audit.adapters.ultralytics.facts import keep_facts, kept_facts
from audit.adapters.ultralytics.geometry import Placement, network_input, place
from audit.adapters.ultralytics.runtimes import OnnxRuntime, Runtime, TorchRuntime
from audit.core.annotations import Predictions
from audit.core.table import objects
from audit.errors import UsageError
from audit.ports import PredictItem, Predictor

RuntimeChoice = Literal["auto", "torch", "onnx"]
View = Literal["flip", "larger"]
"""Other ways to look at a picture: mirrored, left for right; ``LARGER`` times as large."""
LARGER = 1.5
"""Of 0.75, 1.25 and 1.5 this helped most on two sets of photographs; it costs about 2.25 times the time."""
SIZE_STEP = 32
"""Image sizes are multiples of this, the stride of most networks."""
MAX_WORKERS = 8
"""More frames at once gain nothing on the machines measured and cost about 100 MB each."""


@dataclass(frozen=True)
class _Prepared:
    batch: NDArray[np.float32]
    placement: Placement


class Detector:
    """See ``audit.ports.Predictor``. notes: lines for the user, such as why torch is used.

    on_picture: called with the SHA-256 and the pixels (h, w, 3) of every picture decoded, from several threads.
    """

    needs_images = True

    def __init__(
        self,
        runtime: Runtime,
        *,
        name: str,
        digest: str,
        image_size: int,
        thresholds: Thresholds,
        batch_size: int,
        mirrored: bool = False,
    ) -> None:
        self.name, self.digest, self.batch_size = name, digest, batch_size
        self.labels = runtime.facts.labels
        self.notes: tuple[str, ...] = ()
        self.runtime = runtime
        self.on_picture: Callable[[str, NDArray[np.uint8]], None] | None = None
        self._image_size, self._mirrored = image_size, mirrored
        self._target = runtime.facts.fixed_hw or (image_size, image_size)
        self._thresholds = thresholds
        self._pool = ThreadPoolExecutor(_workers(), thread_name_prefix="predict")

    @property
    def overlaps(self) -> bool:
        """Whether the next call of ``predict`` may begin, on another thread, before the last one has ended."""
        return self.runtime.concurrent

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One entry per item: its predictions, or why its picture cannot be used."""
        if self.runtime.concurrent:
            # a frame per core beats a frame on all cores, and decoding overlaps with inference by itself
            return list(self._pool.map(self._predict_one, items))
        return self._predict_together(items)

    def predict_pixels(self, rgb: NDArray[np.uint8]) -> Predictions:
        """What is in one picture (h, w, 3) that is decoded already, on the caller's own thread."""
        fitted = self._fitted(rgb)
        return self._finish([o[0] for o in self.runtime.forward(fitted.batch)], fitted.placement)

    def view(self, view: View) -> Detector:
        """The same network, looking at each picture differently: a predictor of its own, with its own digest.

        Raises UsageError if this network cannot.
        """
        size = self._image_size
        if view == "larger":
            if self.runtime.facts.fixed_hw:
                raise UsageError(f"{self.name} takes pictures of one size only, so --view larger cannot be had")
            size = round(LARGER * size / SIZE_STEP) * SIZE_STEP
        return Detector(
            self.runtime,
            name=f"{self.name} ({view})",
            digest=hashlib.sha256(f"{self.digest} {view} {size}".encode()).hexdigest(),
            image_size=size,
            thresholds=self._thresholds,
            batch_size=self.batch_size,
            mirrored=view == "flip",
        )

    def close(self) -> None:
        """Ends the worker threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _predict_one(self, item: PredictItem) -> Predictions | str:
        prepared = self._prepare(item)
        if isinstance(prepared, str):
            return prepared
        return self._finish([o[0] for o in self.runtime.forward(prepared.batch)], prepared.placement)

    def _predict_together(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """Frames whose network input has the same size go through the network in one call."""
        prepared = list(self._pool.map(self._prepare, items))
        results: list[Predictions | str] = [p if isinstance(p, str) else "" for p in prepared]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, p in enumerate(prepared):
            if isinstance(p, _Prepared):
                groups.setdefault(p.placement.input_hw, []).append(i)
        step = self.runtime.frames_at_once
        for rows in groups.values():
            for start in range(0, len(rows), step):
                self._predict_group(rows[start : start + step], prepared, results)
        return results

    def _predict_group(
        self, rows: Sequence[int], prepared: Sequence[_Prepared | str], results: list[Predictions | str]
    ) -> None:
        members = [p for i in rows if isinstance(p := prepared[i], _Prepared)]
        outputs = self.runtime.forward(np.concatenate([m.batch for m in members]))
        per_frame = [[o[k] for o in outputs] for k in range(len(members))]
        finished = self._pool.map(self._finish, per_frame, [m.placement for m in members])
        for i, result in zip(rows, finished, strict=True):
            results[i] = result

    def _prepare(self, item: PredictItem) -> _Prepared | str:
        if item.data is None:
            return "has no image"
        try:
            rgb = decode_rgb(item.data, item.size_hw)
        except PictureError as error:
            return str(error)
        if self.on_picture:
            self.on_picture(item.sha256, rgb)
        return self._fitted(rgb)

    def _fitted(self, rgb: NDArray[np.uint8]) -> _Prepared:
        facts = self.runtime.facts
        stride = None if facts.fixed_hw else facts.stride
        placement = place((rgb.shape[0], rgb.shape[1]), self._target, stride)
        if self._mirrored:
            rgb = np.ascontiguousarray(rgb[:, ::-1])
        return _Prepared(network_input(rgb, placement), placement)

    def _finish(self, outputs: list[NDArray[np.float32]], placement: Placement) -> Predictions:
        facts = self.runtime.facts
        found = detections(outputs[0], len(facts.labels), facts.end_to_end, self._thresholds)
        xyxy = placement.to_frame(found.xyxy)
        visible = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        masks: list[bytes | None] = [None] * len(xyxy)
        if facts.task == "segment":
            masks = frame_masks(found, xyxy, outputs[1], placement, mirrored=self._mirrored)
            visible &= np.array([m is not None for m in masks], bool)
        if self._mirrored:
            xyxy[:, [0, 2]] = placement.frame_hw[1] - xyxy[:, [2, 0]]
        all_rows = Predictions(
            xyxy=xyxy.astype(np.float64), label=found.label, score=np.clip(found.score, 0.0, 1.0), mask=objects(masks)
        )
        return all_rows[visible]


def open_model(  # noqa: PLR0913  # all but the first are options with a default
    weights: Path,
    *,
    device: str | None = None,
    image_size: int = 640,
    confidence: float = 0.01,
    iou: float = 0.7,
    max_detections: int = 300,
    runtime: RuntimeChoice = "auto",
    batch_size: int = 32,
    threads: int | None = None,
    lazily: bool = False,
) -> Detector:
    """Load a YOLO detection or segmentation model (``.pt`` or ``.onnx``).

    device: "cpu", "cuda", "cuda:1", "mps"; None picks a GPU if torch sees one. image_size: longer side in
    pixels the network sees, a multiple of 32. confidence, iou, max_detections: see ``Thresholds``.
    runtime: "auto" runs on a CPU with onnxruntime (a ``.pt`` is exported once), on a GPU with torch.
    threads: that onnxruntime gives one frame; None shares the cores among frames that run at once.
    lazily: an exported network that is known already is opened for the first frame only.
    Raises UsageError for what is not such a model or an extra that is not installed.
    """
    _check_settings(image_size, confidence, iou, max_detections)
    suffix = weights.suffix.lower()
    if suffix not in (".pt", ".onnx"):
        raise UsageError(f"{weights}: expected weights that end in .pt or .onnx")
    sha256 = file_sha256(weights)
    thresholds = Thresholds(confidence, iou, max_detections)
    notes: tuple[str, ...] = ()
    if suffix == ".onnx":
        loaded: Runtime = _open_onnx(weights, device, runtime, threads or _threads())
    else:
        loaded, notes = _open_pt(
            weights, sha256, device, runtime, image_size=image_size, threads=threads or _threads(), lazily=lazily
        )
    model = Detector(
        loaded,
        name=weights.name,
        digest=_digest(sha256, loaded, image_size, thresholds),
        image_size=image_size,
        thresholds=thresholds,
        batch_size=batch_size,
    )
    model.notes = notes
    return model


def _open_onnx(weights: Path, device: str | None, runtime: RuntimeChoice, threads: int) -> Runtime:
    if runtime == "torch":
        raise UsageError(f"{weights} is an ONNX model; torch runs .pt weights only.")
    if device not in (None, "cpu"):
        raise UsageError(
            f"{weights}: ONNX models run on the CPU here, not on '{device}'; give the .pt weights instead."
        )
    return OnnxRuntime(weights, threads)


def _open_pt(
    weights: Path,
    sha256: str,
    device: str | None,
    runtime: RuntimeChoice,
    *,
    image_size: int,
    threads: int,
    lazily: bool,
) -> tuple[Runtime, tuple[str, ...]]:
    chosen = device or ("cpu" if runtime == "onnx" else default_device())
    if runtime == "onnx" and chosen != "cpu":
        raise UsageError(f"onnxruntime runs on the CPU here, not on '{chosen}'; leave out one of the two options.")
    on_cpu = chosen == "cpu" and runtime != "torch"
    if on_cpu and runtime == "auto" and not (installed_version("onnxruntime") and installed_version("onnx")):
        return TorchRuntime(weights, chosen), (
            "onnx and onnxruntime are not installed: torch is used, about half as fast",
        )
    if not on_cpu:
        return TorchRuntime(weights, chosen), ()
    try:
        return _open_exported(exported(weights, sha256, image_size), threads, lazily), ()
    except ExportError as error:
        if runtime == "onnx":
            raise UsageError(f"{weights} cannot be run with onnxruntime: {error}") from None
        return TorchRuntime(weights, chosen), (f"{weights.name}: torch is used instead of onnxruntime ({error})",)


def _open_exported(path: Path, threads: int, lazily: bool) -> Runtime:
    """lazily: without opening the network, if it has told of itself before."""
    known = kept_facts(path) if lazily else None
    runtime = OnnxRuntime(path, threads, known)
    if known is None:
        keep_facts(path, runtime.facts)
    return runtime


def _digest(sha256: str, runtime: Runtime, image_size: int, thresholds: Thresholds) -> str:
    packages = ("onnxruntime", "ultralytics") if runtime.kind == "onnx" else ("torch", "ultralytics")
    facts = {
        "weights": sha256,
        "runtime": runtime.kind,
        "image_size": image_size,
        "thresholds": asdict(thresholds),
        "versions": {p: installed_version(p) for p in packages},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _check_settings(image_size: int, confidence: float, iou: float, max_detections: int) -> None:
    if image_size < SIZE_STEP or image_size % SIZE_STEP:
        raise UsageError(f"image size {image_size}: expected a multiple of 32, such as 640")
    if not (0 <= confidence <= 1 and 0 <= iou <= 1):
        raise UsageError(f"confidence {confidence} and iou {iou}: expected numbers from 0 to 1")
    if max_detections < 1:
        raise UsageError(f"max detections {max_detections}: expected 1 or more")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _workers() -> int:
    return min(_cores(), MAX_WORKERS)


def _threads() -> int:
    return max(1, _cores() // _workers())


_conforms: type[Predictor] = Detector  # mypy checks the contract here
