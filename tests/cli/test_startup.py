"""Commands start without what they do not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with a pandas that leaves a trace when it is imported."""
    package = tmp_path / "shadow" / "pandas"
    package.mkdir(parents=True)
    code = "import pathlib\n__version__ = '0.1'\npathlib.Path(__file__).with_name('imported').touch()\n"
    (package / "__init__.py").write_text(code)
    return package.parent


def test_an_audit_does_not_import_pandas(
    cvat_audit: Command, export: Path, results: Path, traced: Path, tmp_path: Path
) -> None:
    more = {"PYTHONPATH": str(traced)}
    for command in (("run", export, "--predictions", results, "--out", "out", "--no-fiftyone"), ("findings", "out")):
        done = cvat_audit(*command, **more)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    assert not (traced / "pandas" / "imported").exists()


def test_who_wants_pandas_gets_it(traced: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(traced)!r})\n"
        "from audit.cli.startup import start_without_pandas\n"
        "start_without_pandas()\n"
        "assert 'pandas' not in sys.modules\n"
        "import pandas\n"
        "assert pandas.__version__ == '0.1'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_to_be_done_at_exit_is_done() -> None:
    code = (
        "import atexit, gc, weakref\n"
        "from audit.cli.startup import end_without_search\n"
        "end_without_search()\n"
        "class Held: pass\n"
        "held = Held()\n"
        "weakref.finalize(held, print, 'tidied')\n"
        "before = gc.get_freeze_count()\n"
        "atexit.register(lambda: print('done', gc.get_freeze_count() - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, set(done.stdout.split())) == (0, {"tidied", "done", "0"}), done.stderr


def test_ctrl_c_during_the_imports_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    command = [sys.executable, "-m", "audit", "--version"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
