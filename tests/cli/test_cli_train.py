"""``cvat-audit train`` as a process of its own: from labels to findings, and on after a kill."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from audit.cli import cli
from audit.errors import UsageError
from audit.runs import RunFolder
from tests.cli.conftest import COMMAND, Command, write_coco

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

QUICK = ("--no-fiftyone", "--no-report")
TINY = ("--folds", "2", "--epochs", "6", "--imgsz", "64", "--batch", "6", "--device", "cpu")
PICTURES = 12


@pytest.fixture
def environment(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """As for all commands, but with the weights that are on this machine already."""
    from audit.adapters.ultralytics.weights import find_weights

    weights = tmp_path / "cache" / "cvat-audit" / "weights"
    weights.mkdir(parents=True)
    (weights / "yolo11n.pt").symlink_to(find_weights("yolo11n"))
    return environment


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Twelve pictures with two bright squares each, labelled but for the last."""
    folder = tmp_path / "squares"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(PICTURES):
        pixels = rng.integers(0, 90, (64, 64, 3), np.uint8)
        for x, y in (rng.integers(0, 8, 2), rng.integers(32, 40, 2)):
            pixels[y : y + 20, x : x + 20] = 230
            if i < PICTURES - 1:
                box = [int(x), int(y), 20, 20]
                annotations.append({"id": len(annotations) + 1, "image_id": i + 1, "category_id": 2, "bbox": box,
                                    "area": 400, "iscrowd": 0, "segmentation": []})  # fmt: skip
        Image.fromarray(pixels).save(folder / f"{i}.png")
        images.append({"id": i + 1, "file_name": f"{i}.png", "width": 64, "height": 64})
    write_coco(folder / "annotations.json", images, annotations)
    return folder


@pytest.fixture
def here(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``cvat_audit`` gives a process, for calls within this one: importing torch takes seconds."""
    monkeypatch.chdir(tmp_path)
    for name in ("CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", environment[f"XDG_{name}_HOME"])


def invoked(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


@pytest.mark.usefixtures("here")
def test_a_dry_run_says_what_and_how_long(squares: Path, tmp_path: Path) -> None:
    done = invoked(squares, "--out", "run", *TINY, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "2 folds of 12 pictures, 6 epochs at 64 px on cpu: about" in done.stderr
    assert "s per batch of 6" in done.stderr
    assert "fewer than 50 objects, so expect weak findings: 'car (22)'" in done.stderr
    assert done.stdout == ""
    assert sorted(p.name for p in (tmp_path / "run" / "training").iterdir()) == [
        ".lock", "folds.csv", "images", "labels", "training.json",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="--epochs 6, not 9"):
        CliRunner().invoke(cli, ["train", str(squares), "--out", "run", "--epochs", "9"], catch_exceptions=False)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--restart", "--dry-run"], "--restart deletes what was trained"),
        (["--imgsz", "100"], "100 is not a multiple of 32"),
        (["--frames", "0-4"], "5 of 5 pictures have objects to learn from; at least 10 are needed"),
        (["--model", "no-such-weights"], "no-such-weights"),
        (["--device", "toaster"], "toaster"),
        (["--job-stage", "annotation"], "does not go with an export"),
    ],
)
def test_wrong_use_and_too_little(squares: Path, arguments: list[str], said: str) -> None:
    done = invoked(squares, "--out", "run", *arguments)
    assert said in (str(done.exception) if isinstance(done.exception, UsageError) else done.output)
    assert done.exit_code != 0


def test_killed_and_interrupted_it_goes_on_to_the_findings(
    cvat_audit: Command, squares: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    run, fold = tmp_path / "run", tmp_path / "run" / "training" / "fold-1"
    arguments = ["train", str(squares), "--out", "run", *TINY, *QUICK]
    told = ended_by(signal.SIGKILL, arguments, environment, tmp_path, after=lambda: epochs(fold) >= 2)
    assert told == (-signal.SIGKILL, "")
    before = (fold / "results.csv").read_text()
    code, said = ended_by(
        signal.SIGINT, arguments, environment, tmp_path, after=lambda: epochs(run / "training" / "fold-2") >= 1
    )
    assert (code, said) == (130, "cvat-audit: interrupted; the same command goes on from here")
    assert (fold / "results.csv").read_text().startswith(before)
    with (fold / "results.csv").open() as stream:
        assert {int(r["epoch"]) for r in csv.DictReader(stream)} == set(range(1, 7))
    done = cvat_audit(*arguments[:4], *QUICK)  # with the settings it was begun with
    assert done.returncode == 0, done.stderr
    assert "Training: 12/12" in done.stderr
    assert "likely mistakes" in done.stdout
    rows = json.loads((run / "training" / "predictions.json").read_text())
    assert {r["category_name"] for r in rows} == {"car"}
    assert {r["image_id"] for r in rows} <= set(range(1, PICTURES + 1))
    assert json.loads((run / "manifest.json").read_text())["models"][0]["name"] == "predictions.json"
    assert len(RunFolder.open(run).findings()) == json.loads((run / "manifest.json").read_text())["counts"]["findings"]


def ended_by(
    sign: signal.Signals, arguments: list[str], environment: dict[str, str], folder: Path, *, after: Callable[[], bool]
) -> tuple[int, str]:
    """Exit code and last line of a command that is sent a signal once ``after`` is true."""
    # a process started with & (as under nohup) ignores SIGINT and hands that on; pytest may be such a one
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + COMMAND[-1]
    process = subprocess.Popen([*COMMAND[:-1], code, *arguments], env=environment, cwd=folder, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 120
    while not after() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, sign)
    lines = process.communicate(timeout=60)[1].splitlines()
    assert not any("Traceback" in line for line in lines), lines
    return process.returncode, lines[-1] if sign == signal.SIGINT else ""


def epochs(fold: Path) -> int:
    try:
        return int(json.loads((fold / "progress.json").read_text())["epochs"])
    except FileNotFoundError:
        return 0
