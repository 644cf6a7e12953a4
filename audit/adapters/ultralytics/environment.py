"""Importing ultralytics so that it neither looks up hosts, installs packages, nor runs code from weights.

Nothing here imports a vendor at module level; ``ultralytics`` must not be imported anywhere else
before ``load_ultralytics`` has set its environment.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from audit.adapters.folders import state_dir
from audit.errors import UsageError

INSTALL_HINT = "pip install 'cvat-audit[ultralytics]'"
DISTRIBUTIONS = {"ultralytics": ("ultralytics-opencv-headless", "ultralytics"), "onnxruntime": ("onnxruntime",)}

_declared_operators: list[Any] = []  # torch drops an operator when its Library object is collected


def load_ultralytics() -> ModuleType:
    """The ``ultralytics`` package, offline and restricted to weights without code. Raises UsageError."""
    _set_environment()
    torch = _imported("torch")
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UsageError(
            f"torch {torch.__version__} cannot load weights without running their code; install torch>=2.6."
        )
    _load_torchvision(torch)
    ultralytics = _imported("ultralytics")
    _keep_pillow_as_it_is()
    _insist_on_safe_load()
    importlib.import_module("ultralytics.utils").LOGGER.setLevel("ERROR")  # it writes to stdout
    return ultralytics


def _keep_pillow_as_it_is() -> None:
    """Undo ultralytics' exchange of ``PIL.Image.open``, whose new one tries to install a package on a bad picture."""
    from PIL import Image

    patches = importlib.import_module("ultralytics.utils.patches")
    if Image.open is patches.image_open:
        Image.open = patches._image_open


def load_onnxruntime() -> ModuleType:
    """The ``onnxruntime`` package. Raises UsageError if it is not installed."""
    return _imported("onnxruntime")


def load_opencv() -> ModuleType:
    """``cv2`` without a thread pool of its own: pictures are prepared in several threads at once."""
    cv2 = _imported("cv2")
    cv2.setNumThreads(1)
    return cv2


def installed_version(package: str) -> str:
    """Version of an importable package without importing it, "" if it is not installed."""
    for distribution in DISTRIBUTIONS.get(package, (package,)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""


def default_device() -> str:
    """ "cuda" where torch sees such a device, else "cpu"; torch is not imported if it is a CPU build."""
    torch_version = installed_version("torch")
    if not torch_version or torch_version.endswith("+cpu"):
        return "cpu"
    return "cuda" if _imported("torch").cuda.is_available() else "cpu"


def _set_environment() -> None:
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_CONFIG_DIR=str(state_dir("ultralytics")),
        YOLO_VERBOSE="false",
        ULTRALYTICS_SAFE_LOAD="1",
    )


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name or name} is not installed; models need it: {INSTALL_HINT}") from None
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{name} is installed but cannot be loaded ({reason}); try again: {INSTALL_HINT}") from None


def _load_torchvision(torch: Any) -> None:
    """Import torchvision, also one built for CUDA beside a CPU torch, whose own operators then do not load."""
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed; models need it: {INSTALL_HINT}") from None
    except (ImportError, RuntimeError, OSError) as error:
        if "torchvision::nms" not in str(error):
            raise UsageError(
                f"torchvision cannot be loaded ({error}); it must match torch {torch.__version__}"
            ) from None
        _replace_torchvision_operators(torch)


def _replace_torchvision_operators(torch: Any) -> None:
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    _declared_operators.append(library)
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torchvision = importlib.import_module("torchvision")
    nms = importlib.import_module("ultralytics.utils.nms").TorchNMS.nms
    library.impl("nms", nms, "CompositeExplicitAutograd")
    torchvision.ops.nms = torchvision.ops.boxes.nms = nms


def _insist_on_safe_load() -> None:
    """Turn the restricted loader on even if somebody imported ultralytics before the variable was set."""
    tasks = importlib.import_module("ultralytics.nn.tasks")
    if not hasattr(tasks, "SAFE_LOAD"):
        found = installed_version("ultralytics")
        raise UsageError(
            f"ultralytics {found} cannot load weights without running their code; {INSTALL_HINT} --upgrade"
        )
    tasks.SAFE_LOAD = True  # type: ignore[attr-defined]  # a module's variable, unknown to mypy
