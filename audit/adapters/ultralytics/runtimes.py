"""Two ways of running a network: onnxruntime and torch. Both take and give plain arrays."""

from __future__ import annotations

import ast
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.adapters.ultralytics.environment import load_onnxruntime, load_ultralytics
from audit.errors import ServiceError, UsageError

TASKS = ("detect", "segment")


@dataclass(frozen=True)
class ModelFacts:
    """What a model tells of itself. fixed_hw: the only input size it takes, None for any multiple of stride."""

    labels: tuple[str, ...]
    task: str
    stride: int = 32
    end_to_end: bool = False
    fixed_hw: tuple[int, int] | None = None


class Runtime(Protocol):
    """A loaded network."""

    @property
    def kind(self) -> str:
        """ "onnx" or "torch"."""

    @property
    def facts(self) -> ModelFacts: ...

    @property
    def concurrent(self) -> bool:
        """Whether several threads should call ``forward`` with a frame each, rather than one with many."""

    @property
    def frames_at_once(self) -> int:
        """The most frames one ``forward`` should be given."""

    def forward(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Raw outputs, boxes first, then mask prototypes if there are any. batch: (n, 3, h, w) in [0, 1]."""


class OnnxRuntime:
    """A ``.onnx`` file that ultralytics exported, on the CPU. threads: how many one ``forward`` uses.

    facts: what the file is known to tell of itself; it is then opened for the first frame only.
    Raises UsageError, then or now, if it cannot be run.
    """

    kind = "onnx"
    concurrent = True
    frames_at_once = 1

    def __init__(self, path: Path, threads: int = 1, facts: ModelFacts | None = None) -> None:
        self._path, self._threads = path, threads
        self._opening = threading.Lock()
        self._session: Any = None
        self.facts = self._told(self._opened()) if facts is None else facts

    def forward(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        session = self._opened()
        entry = session.get_inputs()[0]
        data = batch.astype(np.float16) if "float16" in entry.type else batch
        try:
            outputs = session.run(None, {entry.name: data})
        except Exception as error:  # onnxruntime's errors share no base class below Exception
            raise ServiceError(f"onnxruntime failed on an input of {batch.shape}: {_one_line(error)}") from None
        return [np.asarray(o, np.float32) for o in outputs]

    def _opened(self) -> Any:
        with self._opening:  # several threads bring the first frames
            if self._session is None:
                self._session = self._open()
            return self._session

    def _open(self) -> Any:
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            raise UsageError(f"{self._path} is not an ONNX model that can be run ({_one_line(error)})") from None

    def _told(self, session: Any) -> ModelFacts:
        return _onnx_facts(session.get_modelmeta().custom_metadata_map, session.get_inputs()[0].shape, self._path)


class TorchRuntime:
    """A ``.pt`` file that ultralytics trained, on any device torch has."""

    kind = "torch"
    concurrent = False

    def __init__(self, path: Path, device: str = "cpu") -> None:
        ultralytics = load_ultralytics()
        self._torch: Any = __import__("torch")
        try:
            self.yolo = ultralytics.YOLO(str(path))
            names, task = self.yolo.names, str(self.yolo.task)
        except Exception as error:  # whatever a broken or foreign file makes the unpickler raise
            raise UsageError(f"{path} is not a model that ultralytics can load ({_one_line(error)})") from None
        check_task(task, path)
        self.path = path
        self.device = self._device(device)
        # on a CPU more gain nothing and cost some 50 MB each
        self.frames_at_once = 2 if self.device.type == "cpu" else 32
        self._choose_head(self.yolo.model)
        self._network = self.yolo.model.fuse(verbose=False).to(self.device).float().eval()
        _refuse_other_heads(type(self._network.model[-1]).__name__, path)
        self.facts = ModelFacts(
            labels=_ordered(names),
            task=task,
            stride=max(int(self._network.stride.max()), 32),
            end_to_end=bool(getattr(self._network, "end2end", False)),
        )

    def forward(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        torch = self._torch
        try:
            with torch.inference_mode():
                outputs = self._network(torch.from_numpy(batch).to(self.device))
                return [t.float().cpu().numpy() for t in _boxes_and_prototypes(outputs, torch)]
        except RuntimeError as error:  # out of memory, mostly
            raise ServiceError(f"torch failed on an input of {batch.shape}: {_one_line(error)}") from None

    @staticmethod
    def _choose_head(network: Any) -> None:
        """Models with two heads use the one that ultralytics' predict and export use: with suppression after it."""
        if getattr(network, "end2end", False):
            network.end2end = False

    def _device(self, name: str) -> Any:
        try:
            device = self._torch.device(name)
            self._torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            said = f"device '{name}' cannot be used ({_one_line(error)}); give cpu or cuda, or leave --device out"
            raise UsageError(said) from None
        return device


class OtherTaskError(UsageError):
    """A model of ultralytics for another task than ``TASKS``."""


def check_task(task: str, path: Path) -> None:
    """Raises OtherTaskError for models that give something else than boxes or masks."""
    if task not in TASKS:
        raise OtherTaskError(
            f"{path} is a model for '{task}'; supported are detection ('detect') and masks ('segment')."
        )


def _boxes_and_prototypes(outputs: Any, torch: Any) -> list[Any]:
    """The first 3-D tensor (boxes) and the first 4-D one (prototypes), however deep the model nests them."""
    tensors = list(_tensors(outputs, torch))
    boxes = next(t for t in tensors if t.ndim == 3)
    return [boxes, *[t for t in tensors if t.ndim == 4][:1]]


def _tensors(value: Any, torch: Any) -> Any:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:  # training heads' dictionaries are left aside
            yield from _tensors(part, torch)


def _onnx_facts(metadata: Mapping[str, str], shape: list[Any], path: Path) -> ModelFacts:
    task = metadata.get("task", "")
    if not task or "names" not in metadata:
        raise UsageError(f"{path} names no classes and task in its metadata; export it with ultralytics.")
    check_task(task, path)
    _refuse_other_heads(metadata.get("head", ""), path)
    if isinstance(shape[0], int) and shape[0] != 1:
        raise UsageError(f"{path} takes {shape[0]} frames at once; export it with batch=1 or dynamic=True.")
    arguments = _literal(metadata.get("args", "{}"), path)
    fixed = all(isinstance(side, int) for side in shape[2:])
    return ModelFacts(
        labels=_ordered(_literal(metadata["names"], path)),
        task=task,
        stride=max(int(metadata.get("stride", 32)), 32),
        end_to_end=metadata.get("end2end") == "True" or bool(dict(arguments).get("nms")),
        fixed_hw=(shape[2], shape[3]) if fixed else None,
    )


def _refuse_other_heads(head: str, path: Path) -> None:
    if head == "RTDETRDecoder":
        raise UsageError(f"{path} is an RT-DETR model; supported are YOLO models.")


def _literal(text: str, path: Path) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise UsageError(f"{path} has metadata that cannot be read: {text[:60]!r}") from None


def _ordered(names: Any) -> tuple[str, ...]:
    """Class names in the order of their index. names: a mapping from index, or a list."""
    mapping = dict(names) if isinstance(names, dict) else dict(enumerate(names))
    return tuple(str(mapping.get(i, f"class {i}")) for i in range(max(mapping, default=-1) + 1))


def _one_line(error: BaseException) -> str:
    words = (str(error) or type(error).__name__).replace("ERROR ❌️", "").split()
    return " ".join(words)[:200]
