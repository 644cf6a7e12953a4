"""The core knows no vendor: importing it must not load any."""

import subprocess
import sys

import pytest

VENDORS = ("torch", "ultralytics", "fiftyone", "cvat_sdk", "pyarrow", "matplotlib", "PIL", "cv2", "onnxruntime", "rich")


@pytest.mark.parametrize("package", ["audit.core", "audit.checks", "audit.trust", "audit.loop"])
def test_pure(package: str) -> None:
    code = f"""
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, {package!r} + "."):
    importlib.import_module(module.name)
loaded = [v for v in {VENDORS!r} if v in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
