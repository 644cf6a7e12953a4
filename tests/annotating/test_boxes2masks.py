"""cvat-audit boxes2masks, through the real command and SDK against the double."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.cvat.masks import rle_from_points
from audit.annotating.journalled import SCORELESS
from audit.cli.annotating import _general
from audit.core.masks import decode
from audit.errors import UsageError
from audit.loop.masks_of_boxes import Cut, Masked, as_box
from audit.push_ports import Line
from tests.doubles.cvat import FakeCvat

pytest.importorskip("cv2", reason="OpenCV is not installed")

from tests.annotating import bright
from tests.annotating.scene import LABELS, SIDE, Scene, discs, invoke

LOOSE = [24.0, 26.0, 94.0, 92.0]  # around the disc of 30..90
RING = [98.0, 98.0, 182.0, 182.0]
EMPTY = [150.0, 10.0, 190.0, 40.0]
UNSURE = [28.0, 28.0, 93.0, 92.0]
POSE = {"name": "pose", "mutable": True, "input_type": "select", "values": ["stands", "sits"]}


@pytest.fixture
def scene(server: FakeCvat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two jobs of three frames; on each a person around the disc."""
    monkeypatch.setattr("audit.serving.box_prompts.open_segmenter", bright.opened)
    monkeypatch.setattr(bright.Bright, "asked", [])
    labels = [{**LABELS[0], "attributes": [POSE]}, LABELS[1]]
    made = Scene(server, tmp_path, server.add_task("t", discs(6), labels, segment_size=3))
    for job, frames in zip(made.jobs, ((0, 1, 2), (3, 4, 5)), strict=True):
        server.set_annotations(job, {"shapes": [rectangle(made, f) for f in frames], "tags": [], "tracks": []})
    return made


def rectangle(scene: Scene, frame: int, box: list[float] | None = None, **more: Any) -> dict[str, Any]:
    label = scene.server.labels(scene.task)["person"]
    facts = {"type": "rectangle", "frame": frame, "label_id": label, "points": box or LOOSE, "source": "manual"}
    return {**facts, "occluded": True, "z_order": 3, "group": 7, **more}


def run(scene: Scene, *options: object) -> Any:
    return scene.call("boxes2masks", "--sam", "bright", *options)


def told(scene: Scene, *options: object) -> dict[str, Any]:
    done = run(scene, "--json", *options)
    return dict(json.loads(done.stdout))


def kinds(scene: Scene) -> Counter[str]:
    return Counter(s["type"] for s in scene.shapes())


def test_no_rectangles_is_nothing_to_do(scene: Scene) -> None:
    for job in scene.jobs:
        scene.server.set_annotations(job, {"shapes": [], "tags": [], "tracks": []})
    done = run(scene, "--yes")
    assert (done.exit_code, "Nothing to do." in done.stdout) == (0, True), done.output
    assert "Take it back" not in done.stdout
    assert "There are no rectangles." in (scene.out / "preview.html").read_text()


def test_a_dry_run_shows_a_preview_and_sends_nothing(scene: Scene) -> None:
    done = run(scene)
    assert done.exit_code == 0, done.output
    assert kinds(scene) == {"rectangle": 6}
    assert not [r for r in scene.server.requests if r.method not in ("GET", "HEAD")]
    page = (scene.out / "preview.html").read_text()
    assert page.count("<figure>") == 6
    assert "6 of 6 rectangles would become a mask" in page
    assert "http://" not in page.replace(scene.server.url, "")


def test_masks_stand_beside_their_rectangles(scene: Scene) -> None:
    before = scene.shapes()
    done = run(scene, "--yes")
    assert (done.exit_code, "Take it back" in done.stdout) == (0, True), done.output
    assert scene.server.labels(scene.task)["person"]
    assert [s for s in scene.shapes() if s["type"] == "rectangle"] == before
    for mask in (s for s in scene.shapes() if s["type"] == "mask"):
        kept = next(s for s in before if s["frame"] == mask["frame"])
        for name in ("label_id", "attributes", "occluded", "z_order", "group"):
            assert mask[name] == kept[name], name
        assert (mask["source"], mask["score"]) == ("semi-auto", 0.9)
        counts, problem = rle_from_points(mask["points"], (SIDE, SIDE))
        assert (counts is not None, problem) == (True, "")
        y, x = np.mgrid[:SIDE, :SIDE]
        assert (decode(counts or b"", (SIDE, SIDE)) == ((x + 0.5 - 60) ** 2 + (y + 0.5 - 60) ** 2 < 900)).all()


def test_the_second_run_does_nothing_and_asks_nothing(scene: Scene) -> None:
    run(scene, "--yes")
    after, asked = scene.shapes(), len(bright.Bright.asked)
    again = run(scene, "--yes")
    assert (again.exit_code, scene.shapes(), len(bright.Bright.asked)) == (0, after, asked), again.output
    lost = invoke("boxes2masks", scene.source, "--out", scene.folder / "other", "--sam", "bright", "--yes")
    assert (lost.exit_code, scene.shapes()) == (0, after), lost.output
    assert "covers it" in lost.stdout
    other = run(scene, "--yes", "--as", "polygon")
    assert (other.exit_code, scene.shapes()) == (0, after), other.output


def test_sam_is_asked_only_for_rectangles_it_has_not_seen(scene: Scene) -> None:
    """A server lists a frame's shapes in another order whenever something is written there."""
    run(scene)
    assert bright.Bright.asked == [1] * 6
    shapes = [rectangle(scene, 0, RING), rectangle(scene, 0), rectangle(scene, 0, EMPTY)]
    scene.server.set_annotations(scene.jobs[0], {"shapes": shapes, "tags": [], "tracks": []})
    run(scene)
    assert bright.Bright.asked[6:] == [2]
    scene.server.set_annotations(scene.jobs[0], {"shapes": shapes[::-1], "tags": [], "tracks": []})
    done = run(scene)
    assert (bright.Bright.asked[7:], "6  rectangles" in done.stdout) == ([], True), done.output


def test_reasons_are_counted_without_their_figures() -> None:
    line = Line(("k",), "create", 1, "conflict", reason="no polygon shows it (1 hole (12%), 2 other parts) on frame 7")
    assert _general(line) == "no polygon shows it on frame N"
    assert _general(replace(line, reason="only 15% of the mask lie in the rectangle")).startswith("only N% of")


def test_a_server_that_keeps_no_scores_is_told_of(server: FakeCvat, scene: Scene) -> None:
    server.scores = False
    assert SCORELESS not in run(scene).output
    done = run(scene, "--yes")
    assert (done.exit_code, SCORELESS in done.output, kinds(scene)["mask"]) == (0, True, 6), done.output


def test_replace_deletes_rectangles_whose_mask_stands_and_undo_brings_them_back(scene: Scene) -> None:
    before = scene.shapes()
    assert told(scene, "--replace")["counts"] == {"to do": 12}
    run(scene, "--yes")
    kept = run(scene, "--yes", "--replace")
    assert (kept.exit_code, kinds(scene)) == (0, {"mask": 6}), kept.output
    assert run(scene, "--yes", "--replace").exit_code == 0
    assert kinds(scene) == {"mask": 6}
    assert scene.undo().exit_code == 0
    assert scene.shapes() == before
    assert run(scene, "--yes", "--replace").exit_code == 0
    assert kinds(scene) == {"mask": 6}


def test_a_mask_that_somebody_deleted_is_not_made_again_and_its_rectangle_stays(scene: Scene) -> None:
    run(scene, "--yes")
    mask = next(s for s in scene.shapes(0) if s["type"] == "mask")
    scene.change(mask, "delete")
    done = run(scene, "--yes", "--replace")
    assert (done.exit_code, kinds(scene)) == (1, {"mask": 5, "rectangle": 1}), done.output
    assert "no mask of ours stands for it" in done.stdout


def test_poor_masks_are_left_alone_and_listed(scene: Scene) -> None:
    job = scene.jobs[0]
    shapes = [rectangle(scene, 0), rectangle(scene, 1, EMPTY), rectangle(scene, 2, UNSURE)]
    shapes.append(rectangle(scene, 2, [20.0, 20.0, 150.0, 96.0]))
    scene.server.set_annotations(job, {"shapes": shapes, "tags": [], "tracks": []})
    done = run(scene, "--yes", "--frames", "0-2")
    assert (done.exit_code, kinds(scene)["mask"]) == (1, 1), done.output
    reasons = {row["reason"].partition(" (")[0] for row in told(scene, "--frames", "0-2")["changes"]}
    assert reasons == {"done by an earlier run", "the model finds nothing there", "the model is not sure",
                       "the mask fills too little of the rectangle"}  # fmt: skip
    assert (scene.out / "preview.html").read_text().count('class="poor"') == 3
    assert run(scene, "--yes", "--frames", "0-2", "--min-score", "0.2").exit_code == 1
    assert kinds(scene)["mask"] == 2


def test_a_polygon_is_bounded_and_says_what_it_leaves_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.server.set_annotations(scene.jobs[0], {"shapes": [rectangle(scene, 0, RING)], "tags": [], "tracks": []})
    (row,) = told(scene, "--as", "polygon", "--frames", "0-0")["changes"]
    assert (row["status"], row["reason"]) == ("conflict", "a polygon cannot show it (1 hole filled (33% of the mask))")
    monkeypatch.setattr("audit.loop.masks_of_boxes.MAX_LOST", 0.5)
    (row,) = told(scene, "--as", "polygon", "--frames", "0-0")["changes"]
    assert "1 hole filled (33% of the mask)" in row["note"]
    assert run(scene, "--as", "polygon", "--frames", "0-0", "--yes").exit_code == 0
    polygon = next(s for s in scene.shapes(0) if s["type"] == "polygon")
    assert 6 <= len(polygon["points"]) <= 400
    xy = np.array(polygon["points"]).reshape(-1, 2)
    assert np.abs(xy.min(axis=0) - 100).max() < 1.5
    assert np.abs(xy.max(axis=0) - 180).max() < 1.5
    assert "1 hole filled" in (scene.out / "preview.html").read_text()


def test_boxes_are_tightened_in_place_when_told_so(scene: Scene) -> None:
    before = scene.shapes()
    refused = run(scene, "--as", "box", "--yes")
    assert isinstance(refused.exception, UsageError)
    assert "--replace" in str(refused.exception)
    assert told(scene, "--as", "box")["counts"] == {"to do": 6}
    assert scene.shapes() == before
    done = run(scene, "--as", "box", "--replace", "--yes")
    assert done.exit_code == 0, done.output
    after = scene.shapes()
    assert [{**s, "points": LOOSE} for s in after] == before
    assert {tuple(s["points"]) for s in after} == {(30.0, 30.0, 90.0, 90.0)}
    again = run(scene, "--as", "box", "--replace", "--yes")
    assert (again.exit_code, scene.shapes()) == (0, after), again.output
    assert scene.undo().exit_code == 0
    assert scene.shapes() == before


def test_a_tighter_box_never_grows() -> None:
    rectangle = (10.0, 10.0, 50.0, 50.0)
    mask = Masked(0, Cut(b"", 0.9), (14.0, 5.0, 48.0, 54.0), 0.7, "")
    tight = as_box(mask, rectangle)
    assert tight.box == (14.0, 10.0, 48.0, 50.0)
    assert tight.overlap == pytest.approx(34 / 40)
    poor = replace(mask, poor="not sure")
    assert as_box(poor, rectangle) == poor


def test_other_shapes_and_labels_are_left_alone(scene: Scene) -> None:
    car = scene.server.labels(scene.task)["car"]
    key = {"type": "rectangle", "frame": 1, "points": LOOSE, "outside": False, "occluded": False, "attributes": []}
    track = {"frame": 1, "label_id": car, "group": 0, "source": "manual", "attributes": [], "shapes": [key]}
    turned = rectangle(scene, 2, rotation=20.0)
    shapes = [rectangle(scene, 0), rectangle(scene, 0, RING, label_id=car), turned]
    scene.server.set_annotations(scene.jobs[0], {"shapes": shapes, "tags": [], "tracks": [track]})
    done = run(scene, "--yes", "--label", "car", "--frames", "0-2")
    assert (done.exit_code, kinds(scene)["mask"]) == (0, 1), done.output
    assert "1 track of rectangles left out" in done.stderr
    assert isinstance(run(scene, "--label", "lorry").exception, UsageError)
    box = told(scene, "--as", "box", "--label", "person", "--frames", "2-2", "--min-score", "0", "--min-overlap", "0.1")
    assert "turned" in box["changes"][0]["reason"]


def test_a_label_for_rectangles_only_takes_no_mask(server: FakeCvat, scene: Scene) -> None:
    task = server.add_task("u", discs(1), [{"name": "person", "type": "rectangle"}])
    other = Scene(server, scene.folder, task)
    server.set_annotations(other.jobs[0], {"shapes": [rectangle(other, 0)], "tags": [], "tracks": []})
    done = invoke("boxes2masks", other.source, "--out", scene.folder / "u", "--sam", "bright", "--yes")
    assert done.exit_code == 1
    assert "is for shapes of type rectangle, not mask" in done.stdout


def test_a_bad_frame_is_told_and_the_rest_is_done(server: FakeCvat, scene: Scene) -> None:
    files = {**discs(2), "000.png": b"not a picture"}
    other = Scene(server, scene.folder, server.add_task("u", files, LABELS))
    server.set_annotations(
        other.jobs[0], {"shapes": [rectangle(other, 0), rectangle(other, 1)], "tags": [], "tracks": []}
    )
    done = invoke("boxes2masks", other.source, "--out", scene.folder / "u", "--sam", "bright", "--yes")
    assert done.exit_code == 0, done.output
    assert "000.png" in done.stderr
    assert Counter(s["type"] for s in server.annotations(other.jobs[0])["shapes"]) == {"rectangle": 2, "mask": 1}


def test_an_export_on_disk_is_refused(tmp_path: Path) -> None:
    done = invoke("boxes2masks", tmp_path, "--out", tmp_path / "out", "--sam", "bright")
    assert isinstance(done.exception, UsageError)
    assert "CVAT server" in str(done.exception)
