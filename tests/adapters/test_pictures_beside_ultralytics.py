"""Importing ultralytics replaces Pillow's Image.open; bad files must still be told as such."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

PROGRAM = """
from audit.adapters.pictures import PictureError, size_hw
import ultralytics.utils.patches
try:
    size_hw(b"this is not a picture")
except PictureError as error:
    print(error)
"""


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed")
def test_a_file_that_is_no_picture_is_refused_after_ultralytics_was_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip().splitlines()[-1:] == ["is not an image (UnidentifiedImageError)"], done.stderr
    assert "requirement" not in done.stdout + done.stderr


OURS = """
from PIL import Image
from audit.adapters.ultralytics.environment import load_ultralytics
before = Image.open
load_ultralytics().YOLO
assert Image.open is before
"""


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed")
def test_our_own_import_leaves_pillow_as_it_is() -> None:
    subprocess.run([sys.executable, "-c", OURS], check=True, timeout=120)
