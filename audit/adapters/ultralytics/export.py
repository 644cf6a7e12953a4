"""Exporting ``.pt`` weights to ONNX once, since onnxruntime is the faster on a CPU."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

from audit.adapters.folders import cache_dir
from audit.adapters.pictures import decode_rgb
from audit.adapters.ultralytics.environment import installed_version, load_ultralytics
from audit.adapters.ultralytics.geometry import network_input, place
from audit.adapters.ultralytics.runtimes import OnnxRuntime, Runtime, TorchRuntime
from audit.runs import atomic

REVISION = 1
"""Raise it when exports of an earlier version of this module must not be used again."""
SCORE_TOLERANCE = 1e-3
"""Largest difference of a class score that counts as agreement; 5e-5 is usual."""
BOX_TOLERANCE_PX = 0.5


class ExportError(Exception):
    """The export failed or disagrees with the original; the text says how."""


def exported(weights: Path, sha256: str, image_size: int) -> Path:
    """The ONNX file of these weights, taking any input size. Made if it isn't there yet.

    Raises UsageError if the weights cannot be loaded, ExportError if the export cannot be relied on.
    """
    versions = f"{installed_version('ultralytics')}-{installed_version('torch')}-r{REVISION}"
    target = cache_dir("weights") / "onnx" / f"{sha256[:32]}-{versions}.onnx"
    if target.is_file():
        return target
    from filelock import FileLock  # comes with torch; not needed where nothing is exported

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.is_file():
            _export(weights, target, image_size)
    return target


def _export(weights: Path, target: Path, image_size: int) -> None:
    original = TorchRuntime(weights)
    with tempfile.TemporaryDirectory(prefix="cvat-audit-") as folder:
        # ultralytics writes beside the weights, and takes the kind of model from the file's name
        copy = Path(folder) / weights.name
        shutil.copyfile(weights, copy)
        try:
            made = _run_exporter(copy, image_size)
        except Exception as error:  # torch, onnx and ultralytics raise whatever they like here
            raise ExportError(f"export failed: {' '.join(str(error).split())[:200]}") from error
        _compare(original, OnnxRuntime(made), image_size)
        with atomic(target) as stream:
            stream.write(made.read_bytes())


def _run_exporter(weights: Path, image_size: int) -> Path:
    yolo = load_ultralytics().YOLO(str(weights))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = yolo.export(format="onnx", dynamic=True, imgsz=image_size, simplify=False, verbose=False, device="cpu")
    return Path(str(made))


def _compare(original: Runtime, export: Runtime, image_size: int) -> None:
    """Both run one photo; raises ExportError if boxes or scores differ by more than rounding."""
    picture = Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg"
    rgb = decode_rgb(picture.read_bytes())
    if original.facts != export.facts:
        raise ExportError(f"the export describes itself as {export.facts}, the weights as {original.facts}"[:400])
    facts = original.facts
    batch = network_input(rgb, place((rgb.shape[0], rgb.shape[1]), (image_size, image_size), facts.stride))
    expected, found = original.forward(batch), export.forward(batch)
    if [a.shape for a in expected] != [a.shape for a in found]:
        raise ExportError(f"outputs have shapes {[a.shape for a in found]}, expected {[a.shape for a in expected]}")
    if facts.end_to_end:  # rows of equal score may come in another order
        difference = float(np.abs(np.sort(expected[0][..., 4]) - np.sort(found[0][..., 4])).max())
    else:
        n = 4 + len(facts.labels)
        difference = float(np.abs(expected[0][:, 4:n] - found[0][:, 4:n]).max())
        _check_boxes(expected[0], found[0], n)
    if not difference <= SCORE_TOLERANCE:
        raise ExportError(f"scores of the export differ by up to {difference:.4f}")


def _check_boxes(expected: np.ndarray, found: np.ndarray, n: int) -> None:
    likely = expected[:, 4:n].max(axis=1) > 0.01
    difference = np.abs(expected[:, :4] - found[:, :4]).max(axis=1)[likely]
    if difference.size and not float(difference.max()) <= BOX_TOLERANCE_PX:
        raise ExportError(f"boxes of the export differ by up to {float(difference.max()):.2f} px")
