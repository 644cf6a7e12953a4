"""The commands killed at every request: the same command then ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.annotating.scene import CAR, LABELS, PERSON, Scene, discs
from tests.doubles.cvat import FakeCvat

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, signal, sys
from audit import journal, push_engine
from audit.adapters.cvat.writer import CvatWriter
from audit.cli import main

push_engine.BATCH = 2
point, left = sys.argv[1], int(sys.argv[2])

def counted(owner, name):
    real = getattr(owner, name)
    def wrapped(*arguments, **more):
        global left
        answer = real(*arguments, **more)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return answer
    setattr(owner, name, wrapped)

# the three points of a request: before it is sent, after it was carried out, after its fate was written down
points = {"begun": (journal.Journal, "begin"), "sent": (CvatWriter, "_send"), "closed": (journal.Journal, "close")}
counted(*points[point])
if "bright" in sys.argv:
    from audit.serving import box_prompts
    from tests.annotating import bright
    box_prompts.open_segmenter = bright.opened
sys.argv = ["cvat-audit", *sys.argv[3:]]
main()
"""


def killed(point: str, after: int, *arguments: object) -> bool:
    """Run the command in a process that kills itself; False if it came to its end before."""
    command = [sys.executable, "-c", CHILD, point, str(after), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def facts(scene: Scene) -> list[tuple[int, float, float]]:
    return sorted((s["frame"], s["points"][0], s["score"]) for s in scene.shapes())


@pytest.mark.parametrize("point", ["begun", "sent", "closed"])
def test_prelabel_killed_at_each_request(scene: Scene, point: str) -> None:
    first = scene.results([("person", PERSON, 0.9), ("car", CAR, 0.8)], frames=[0, 3])
    command = ("prelabel", scene.source, "--out", scene.out, "--predictions", first, "--yes")
    cuts = 0
    # cut at its first request every time: the next run goes on from there, and each request is cut once
    while killed(point, 0, *command):
        cuts += 1
        assert cuts < 20
        if point == "begun":  # nothing was ever sent: a run that lives must finish it
            break
    assert cuts >= (1 if point == "begun" else 2)
    assert scene.call("prelabel", "--predictions", first, "--yes").exit_code == 0
    drawn = [(frame, x, score) for frame in (0, 3) for x, score in ((20.0, 0.9), (120.0, 0.8))]
    assert facts(scene) == drawn
    second = scene.results([("person", [25.0, 30.0, 80.0, 60.0], 0.7)], frames=[0, 3])
    replacing = ("prelabel", scene.source, "--out", scene.out, "--predictions", second, "--yes", "--replace-auto")
    while killed(point, 0, *replacing) and point != "begun":
        cuts += 1
        assert cuts < 40
    assert scene.call("prelabel", "--predictions", second, "--yes", "--replace-auto").exit_code == 0
    assert facts(scene) == [(frame, 25.0, 0.7) for frame in (0, 3)]
    while killed(point, 0, "undo", scene.out, "--yes") and point != "begun":
        cuts += 1
        assert cuts < 60
    assert scene.undo().exit_code == 0
    assert scene.shapes() == []


@pytest.mark.parametrize("point", ["begun", "sent", "closed"])
def test_boxes2masks_killed_at_each_request(server: FakeCvat, tmp_path: Path, point: str) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    scene = Scene(server, tmp_path, server.add_task("t", discs(6), LABELS, segment_size=3))
    for frame in (0, 4):
        scene.draw(frame, [24.0, 26.0, 94.0, 92.0])
    before = scene.shapes()
    command = ("boxes2masks", scene.source, "--out", scene.out, "--sam", "bright", "--yes", "--replace")
    cuts = 0
    while killed(point, 0, *command):
        cuts += 1
        assert cuts < 30
        if point == "begun":
            break
    assert not killed(point, 99, *command)
    assert [(s["frame"], s["type"]) for s in scene.shapes()] == [(0, "mask"), (4, "mask")]
    while killed(point, 0, "undo", scene.out, "--yes") and point != "begun":
        cuts += 1
        assert cuts < 60
    assert scene.undo().exit_code == 0
    assert scene.shapes() == before
