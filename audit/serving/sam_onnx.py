"""The encoder of the small SAMs in onnxruntime, which on a CPU is faster than torch: the first click waits for it."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.folders import cache_dir
from audit.adapters.ultralytics.environment import installed_version, load_onnxruntime
from audit.runs import atomic

REVISION = 1
"""Raise it when exports of an earlier version of this module must not be used again."""
TOLERANCE = 1e-2
"""Largest difference of a feature that counts as agreement; features are about 1, 1e-4 is usual."""
KINDS = ("mobile_sam", "lite_medsam")
"""The large ones take longer to export than they would ever save."""


class OnnxEncoder:
    """planes (1, 3, size, size) in, features (1, 256, 64, 64) out."""

    def __init__(self, path: Path, threads: int) -> None:
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._input: planes})[0], np.float32)


def onnx_encoder(encoder: Any, kind: str, digest: str, size: int, threads: int) -> tuple[OnnxEncoder | None, str]:
    """The encoder, exported once for all and compared with the original, or None and why torch has to do.

    encoder: the torch module. digest: of the weights. size: side of the input in pixels.
    """
    if kind not in KINDS:
        return None, f"{kind} is run by torch only"
    if not (installed_version("onnxruntime") and installed_version("onnx")):
        return None, "onnx and onnxruntime are not installed"
    versions = f"{installed_version('ultralytics')}-{installed_version('torch')}-r{REVISION}"
    target = cache_dir("weights") / "onnx" / f"sam-{digest[:32]}-{versions}.onnx"
    try:
        if not target.is_file():
            _export(encoder, size, target, threads)
        return OnnxEncoder(target, threads), ""
    except Exception as error:  # torch, onnx and onnxruntime raise whatever they like here
        return None, f"the export failed: {' '.join(str(error).split())[:200]}"


def _export(encoder: Any, size: int, target: Path, threads: int) -> None:
    from filelock import FileLock  # comes with torch; not needed where nothing is exported

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"), tempfile.TemporaryDirectory(prefix="cvat-audit-") as folder:
        if target.is_file():
            return
        made = Path(folder) / "encoder.onnx"
        _write(encoder, size, made)
        _compare(encoder, OnnxEncoder(made, threads), size)
        with atomic(target) as stream:
            stream.write(made.read_bytes())


def _write(encoder: Any, size: int, path: Path) -> None:
    torch: Any = __import__("torch")
    # the exporter prints and warns about shapes that are fixed here on purpose
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(encoder, torch.zeros(1, 3, size, size), str(path), opset_version=17, dynamo=False)


def _compare(encoder: Any, export: OnnxEncoder, size: int) -> None:
    torch: Any = __import__("torch")
    planes = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(planes)).numpy()
    found = export(planes)
    if expected.shape != found.shape or not float(np.abs(expected - found).max()) <= TOLERANCE:
        raise ValueError("the export disagrees with the original")
