"""Training a YOLO detector on pictures and boxes at hand: one fold, that can be killed and gone on with.

ultralytics' trainer is used with its own hands tied: it is given labels instead of files to check (it would
write to the pictures it repairs), keeps to its folder, asks no network, and never validates: whatever picks
the best epoch by the fold held out has learnt from it.
"""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.ultralytics.detector import open_model
from audit.adapters.ultralytics.environment import default_device, load_ultralytics
from audit.errors import ServiceError, UsageError
from audit.ports import Predictor
from audit.runs import atomic
from audit.training_ports import Example, Schedule, Trainer

TIMED_BATCHES = 3
"""Measured after one to warm up."""
CHECKPOINT, WEIGHTS, NOTE = "last.pt", "weights.pt", "progress.json"


class YoloTrainer:
    """See ``audit.training_ports.Trainer``. start: weights of a YOLO detector to begin with."""

    def __init__(self, start: Path, device: str | None = None) -> None:
        self.start, self.device = start, device or default_device()
        if "," in self.device:
            raise UsageError(f"--device {self.device}: training runs on one device, such as cuda:0")
        _check_start(start)
        _check_device(self.device)

    def seconds_per_batch(
        self, examples: Sequence[Example], names: Sequence[str], schedule: Schedule, folder: Path
    ) -> float:
        """Measured by training some batches, of which nothing is kept. folder: where that may write."""
        ends: list[float] = []

        def on_batch() -> None:
            ends.append(time.perf_counter())
            if len(ends) > TIMED_BATCHES:
                raise _EnoughError

        trial = folder / "trial"
        longer = Schedule(schedule.epochs + TIMED_BATCHES, schedule.image_size, schedule.batch, schedule.seed)
        try:
            with _errors_told(schedule):
                self._trainer(examples, names, longer, trial, on_batch=on_batch).train()
        except _EnoughError:
            pass
        finally:
            shutil.rmtree(trial, ignore_errors=True)
        return (ends[-1] - ends[0]) / (len(ends) - 1)

    def train(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        schedule: Schedule,
        folder: Path,
        *,
        on_batch: Callable[[], None],
    ) -> Path:
        """Weights trained on the examples; goes on from the last whole epoch if ``folder`` holds one.

        names: of the labels, by code. Raises UsageError or ServiceError.
        """
        weights = folder / WEIGHTS
        if weights.exists():
            return weights
        folder.mkdir(parents=True, exist_ok=True)
        done = self.epochs_done(folder)
        if done < schedule.epochs:
            resume = _readable(folder / CHECKPOINT) if done else None
            with _errors_told(schedule):
                self._trainer(examples, names, schedule, folder, on_batch=on_batch, resume=resume).train()
        _strip(folder / CHECKPOINT, weights)
        return weights

    def epochs_done(self, folder: Path) -> int:
        """Whole epochs that a training in this folder has behind it and goes on from."""
        if not any((folder / name).exists() for name in (CHECKPOINT, WEIGHTS)):
            return 0
        try:
            return int(json.loads((folder / NOTE).read_text())["epochs"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def open(self, weights: Path, image_size: int) -> Predictor:
        """The trained detector on the same device; in torch, since exporting would cost more than it saves."""
        return open_model(weights, device=self.device, image_size=image_size, runtime="torch")

    def _trainer(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        schedule: Schedule,
        folder: Path,
        *,
        on_batch: Callable[[], None],
        resume: Path | None = None,
    ) -> Any:
        overrides = _overrides(self.start, self.device, schedule, folder) | ({"resume": str(resume)} if resume else {})
        return _trainer_class()(examples=examples, names=names, on_batch=on_batch, overrides=overrides)


class _EnoughError(Exception):
    """The batches to be timed are done."""


def _overrides(start: Path, device: str, schedule: Schedule, folder: Path) -> dict[str, Any]:
    return {
        "task": "detect",
        "model": str(start),
        "data": "",
        "save_dir": str(folder),
        "exist_ok": True,
        "epochs": schedule.epochs,
        "imgsz": schedule.image_size,
        "batch": schedule.batch,
        "nbs": schedule.batch,  # else it would step once per 64 pictures, of which a small task has few
        "seed": schedule.seed,
        "warmup_epochs": min(3.0, schedule.epochs / 5),
        "close_mosaic": schedule.epochs // 4,
        "device": device,
        "amp": _precision(device),
        "workers": _workers(device),
        "val": False,
        "plots": False,
        "verbose": False,
    }


def _precision(device: str) -> str | bool:
    """bfloat16 where the device has it; float16 would have ultralytics download a model to test it with."""
    torch = importlib.import_module("torch")
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else False


def _workers(device: str) -> int:
    """Processes that prepare pictures; beside a CPU's training they would only take its cores."""
    return 4 if device.startswith("cuda") else 0


@functools.cache
def _trainer_class() -> Any:
    load_ultralytics()
    base = importlib.import_module("ultralytics.models.yolo.detect").DetectionTrainer
    dataset = importlib.import_module("ultralytics.data.dataset").YOLODataset
    build = importlib.import_module("ultralytics.data.build").build_dataloader

    class Labelled(dataset):  # type: ignore[misc, valid-type]  # the base is only known when ultralytics is loaded
        """Labels handed over instead of read, so that no picture is opened, checked or repaired beforehand."""

        def get_img_files(self, img_path: list[Example]) -> list[str]:
            return [str(e.file) for e in img_path]

        def get_labels(self) -> list[dict[str, Any]]:
            return [_as_label(e) for e in self.img_path]

    class Trainer(base):  # type: ignore[misc, valid-type]  # as above
        """One fold. Only ``on_batch`` hears of its progress: no integration that logs to somewhere else."""

        def __init__(
            self, *, examples: Sequence[Example], names: Sequence[str], on_batch: Callable[[], None], overrides: Any
        ) -> None:
            self._examples, self._names, self._on_batch = list(examples), list(names), on_batch
            super().__init__(overrides=overrides)
            self.wdir = self.save_dir
            self.last = self.best = self.save_dir / CHECKPOINT
            shutil.rmtree(self.save_dir / "weights", ignore_errors=True)

        def get_dataset(self) -> dict[str, Any]:
            names = dict(enumerate(self._names))
            return {"train": self._examples, "val": self._examples[:1], "names": names, "nc": len(names), "channels": 3}

        def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
            data = self.build_dataset(dataset_path, mode, batch_size)
            workers = self.args.workers if mode == "train" else 0
            return build(data, batch=batch_size, workers=workers, shuffle=mode == "train", rank=rank)

        def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
            options = {"imgsz": self.args.imgsz, "batch_size": batch, "augment": mode == "train", "hyp": self.args}
            return Labelled(img_path=img_path, data=self.data, task="detect", **options)

        def run_callbacks(self, event: str) -> None:
            if event == "on_train_batch_end":
                self._on_batch()

        def validate(self) -> tuple[dict[str, float], None]:
            return {}, None

        def final_eval(self) -> None:
            return

        def save_model(self) -> bool:
            """Whole or not at all: a killed process must leave an epoch to go on from."""
            whole = self.last
            self.last = self.best = whole.with_suffix(".part")
            try:
                super().save_model()
                self.last.replace(whole)
            finally:
                self.last = self.best = whole
            with atomic(self.save_dir / NOTE, "w") as stream:
                json.dump({"epochs": self.epoch + 1}, stream)
            return True

    return Trainer


def _as_label(example: Example) -> dict[str, Any]:
    return {
        "im_file": str(example.file),
        "shape": example.size_hw,
        "cls": example.label.astype(np.float32).reshape(-1, 1),
        "bboxes": example.xywh.astype(np.float32).reshape(-1, 4),
        "segments": [],
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }


def _readable(checkpoint: Path) -> Path:
    try:
        importlib.import_module("ultralytics.nn.tasks").load_checkpoint(str(checkpoint))
    except Exception:  # whatever a broken file makes the unpickler raise
        raise ServiceError(_begin_fold_anew(checkpoint)) from None
    return checkpoint


def _begin_fold_anew(checkpoint: Path) -> str:
    return f"{checkpoint} cannot be read; delete the folder {checkpoint.parent} and give the same command again"


def _strip(checkpoint: Path, weights: Path) -> None:
    """The averaged weights without what only a training needs."""
    part = weights.with_suffix(".part")
    importlib.import_module("ultralytics.utils.torch_utils").strip_optimizer(checkpoint, str(part))
    if not part.exists():
        raise ServiceError(_begin_fold_anew(checkpoint))
    part.replace(weights)
    checkpoint.unlink()


def _check_start(start: Path) -> None:
    if start.suffix.lower() != ".pt":
        raise UsageError(f"{start}: training begins with weights that end in .pt")
    ultralytics = load_ultralytics()
    try:
        task = str(ultralytics.YOLO(str(start)).task)
    except Exception as error:  # whatever a broken or foreign file makes the unpickler raise
        raise UsageError(f"{start} is not a model that ultralytics can load ({_one_line(error)})") from None
    if task != "detect":
        raise UsageError(
            f"{start} is a model for '{task}'; training begins with a detector ('detect'), such as yolo11n"
        )


def _check_device(device: str) -> None:
    torch = importlib.import_module("torch")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        said = f"device '{device}' cannot be used ({_one_line(error)}); give cpu or cuda, or leave --device out"
        raise UsageError(said) from None


@contextmanager
def _errors_told(schedule: Schedule) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise ServiceError(_no_room(schedule)) from None
    except OSError as error:
        raise ServiceError(f"training failed: {_one_line(error)}") from None
    except RuntimeError as error:
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
            raise ServiceError(_no_room(schedule)) from None
        raise ServiceError(f"training failed: {_one_line(error)}") from error


def _no_room(schedule: Schedule) -> str:
    return (
        f"out of memory with batches of {schedule.batch} pictures at {schedule.image_size} px; "
        "give a smaller --batch or --image-size"
    )


def _one_line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]


_conforms: type[Trainer] = YoloTrainer  # mypy checks the contract here
