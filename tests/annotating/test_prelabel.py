"""cvat-audit prelabel, through the real command and SDK against the double."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.annotating.blind_share import read as read_blind
from audit.errors import ServiceError, UsageError
from tests.annotating.scene import CAR, LABELS, PERSON, Scene, invoke, photos, xyxy
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

BOTH = [("person", PERSON, 0.91234), ("car", CAR, 0.35), ("car", [150.0, 20.0, 30.0, 30.0], 0.1)]
MOVED = [("person", [22.0, 31.0, 80.0, 60.0], 0.8), ("car", CAR, 0.35)]


def test_nothing_predicted_is_nothing_to_do(scene: Scene) -> None:
    done = scene.call("prelabel", "--predictions", scene.results([("person", PERSON, 0.2)]), "--yes")
    assert (done.exit_code, "Nothing to do." in done.stdout) == (0, True), done.output
    assert scene.shapes() == []


def test_a_dry_run_sends_nothing_and_the_real_one_what_it_told(scene: Scene) -> None:
    results = scene.results(BOTH)
    told = json.loads(scene.call("prelabel", "--predictions", results, "--json").stdout)
    assert (told["sent"], told["counts"]) == (False, {"to do": 12})
    assert not [r for r in scene.server.requests if r.method not in ("GET", "HEAD")]
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert done.exit_code == 0, done.output
    stored = sorted(scene.shapes(), key=lambda shape: int(shape["id"]))  # in the order of writing
    labels = scene.server.labels(scene.task)
    facts = {(s["frame"], s["label_id"], tuple(s["points"]), s["score"], s["source"], s["type"]) for s in stored}
    assert facts == {
        (frame, labels[label], tuple(xyxy(box)), score, "auto", "rectangle")
        for frame in range(6)
        for label, box, score in (("person", PERSON, 0.9123), ("car", CAR, 0.35))
    }
    assert len(stored) == 12
    for row, shape in zip(told["changes"], stored, strict=True):
        assert row["after"].items() <= shape.items()
    assert ADMIN_TOKEN not in done.output


def test_the_second_run_adds_nothing_and_undo_takes_all_back(scene: Scene) -> None:
    results = scene.results(BOTH)
    scene.call("prelabel", "--predictions", results, "--yes")
    before = scene.shapes()
    writes = len([r for r in scene.server.requests if r.method == "PATCH"])
    again = scene.call("prelabel", "--predictions", results, "--yes")
    assert (again.exit_code, scene.shapes()) == (0, before), again.output
    assert len([r for r in scene.server.requests if r.method == "PATCH"]) == writes
    assert scene.undo().exit_code == 0
    assert scene.shapes() == []
    assert scene.call("prelabel", "--predictions", results, "--yes").exit_code == 0
    assert len(scene.shapes()) == 12
    scene.undo()
    assert scene.shapes() == []


def test_another_folder_doubles_nothing_either(scene: Scene) -> None:
    results = scene.results(BOTH)
    scene.call("prelabel", "--predictions", results, "--yes")
    before = scene.shapes()
    lost = invoke("prelabel", scene.source, "--out", scene.folder / "other", "--predictions", results, "--yes")
    assert (lost.exit_code, scene.shapes()) == (0, before), lost.output
    moved = scene.results(MOVED)
    again = invoke("prelabel", scene.source, "--out", scene.folder / "third", "--predictions", moved, "--yes")
    assert (again.exit_code, scene.shapes()) == (0, before), again.output
    assert "somebody has worked on this frame" in again.stdout


def test_thresholds_by_label(scene: Scene) -> None:
    results = scene.results(BOTH)
    options = ("--threshold", "0.05", "--threshold", "person=0.95")
    told = json.loads(scene.call("prelabel", "--predictions", results, "--json", *options).stdout)
    assert (
        sorted((row["label"], row["after"]["score"]) for row in told["changes"])
        == [("car", 0.1)] * 6 + [("car", 0.35)] * 6
    )
    wrong = scene.call("prelabel", "--predictions", results, "--threshold", "lorry=0.5")
    assert isinstance(wrong.exception, UsageError)
    assert "lorry" in str(wrong.exception)
    for bad in ("high", "person=2", "nan"):
        assert scene.call("prelabel", "--predictions", results, "--threshold", bad).exit_code == 2


def test_a_score_at_the_threshold_is_drawn(scene: Scene) -> None:
    results = scene.results([("car", CAR, 0.35)], frames=[0])
    told = json.loads(scene.call("prelabel", "--predictions", results, "--json", "--threshold", "0.35").stdout)
    assert told["counts"] == {"to do": 1}


def test_blind_frames_stay_empty_and_are_recorded(scene: Scene) -> None:
    results = scene.results(BOTH)
    done = scene.call("prelabel", "--predictions", results, "--blind", "34%", "--seed", "7", "--yes")
    assert done.exit_code == 0, done.output
    blind = read_blind(scene.out)
    kept = sorted(number for (_, number), b in blind.frames.items() if b)
    assert (blind.share, blind.seed, len(kept), len(blind.frames)) == (0.34, 7, 2, 6)
    assert sorted({s["frame"] for s in scene.shapes()}) == sorted(set(range(6)) - set(kept))
    # without the option the choice stands; another one is refused
    again = scene.call("prelabel", "--predictions", results, "--yes", "--json")
    assert json.loads(again.stdout)["frames"]["blind"] == 2
    assert len(scene.shapes()) == 8
    other = scene.call("prelabel", "--predictions", results, "--blind", "50%", "--yes")
    assert isinstance(other.exception, UsageError)
    seed = scene.call("prelabel", "--predictions", results, "--seed", "8", "--yes")
    assert isinstance(seed.exception, UsageError)
    assert scene.call("prelabel", "--predictions", results, "--blind", "100%").exit_code == 2


def test_what_the_model_says_of_blind_frames_is_kept(scene: Scene) -> None:
    from audit.runs import RunFolder

    scene.call("prelabel", "--predictions", scene.results(BOTH), "--blind", "0.5")
    run = RunFolder.open(scene.out)
    assert set(run.predictions().frame.tolist()) == set(range(6))


def test_frames_that_people_labelled_are_left_alone(scene: Scene) -> None:
    scene.draw(1, [1.0, 1.0, 30.0, 30.0])
    job = scene.jobs[1]
    label = scene.server.labels(scene.task)["car"]
    key = {"type": "rectangle", "frame": 3, "points": xyxy(CAR), "outside": False, "occluded": False, "attributes": []}
    track = {"frame": 3, "label_id": label, "group": 0, "source": "manual", "attributes": [],
             "shapes": [key, {**key, "frame": 4, "outside": True}]}  # fmt: skip
    scene.server.set_annotations(job, {"shapes": [], "tags": [{"frame": 4, "label_id": label}], "tracks": [track]})
    results = scene.results(BOTH, frames=[0, 1, 3, 4])
    scene.call("prelabel", "--predictions", results, "--yes")
    drawn = [s["frame"] for s in scene.shapes() if s["source"] == "auto"]
    assert sorted(drawn) == [0, 0, 4, 4]  # a tag is no label of an object
    scene.draw(0, [170.0, 1.0, 199.0, 20.0])
    scene.call("prelabel", "--predictions", results, "--fill", "--yes")
    drawn = [s["frame"] for s in scene.shapes() if s["source"] == "auto"]
    assert sorted(drawn) == [0, 0, 1, 1, 3, 4, 4]  # the car of frame 3 is there as a track


def test_replace_auto_replaces_only_its_own_untouched_shapes(scene: Scene) -> None:
    scene.call("prelabel", "--predictions", scene.results(BOTH, frames=[0, 1, 2, 3]), "--yes")
    first = scene.shapes()
    by_place = {(s["frame"], s["points"][0]): s for s in first}
    scene.change({**by_place[0, 20.0], "points": [18.0, 28.0, 99.0, 88.0]})  # edited, at the same place
    scene.change(by_place[1, 20.0], "delete")
    scene.draw(2, [1.0, 100.0, 40.0, 199.0])
    moved = scene.results(MOVED, frames=[0, 1, 2, 3])
    kept = scene.shapes()
    plain = scene.call("prelabel", "--predictions", moved, "--yes")
    assert (plain.exit_code, scene.shapes()) == (0, kept), plain.output
    assert "--replace-auto" in plain.stderr
    done = scene.call("prelabel", "--predictions", moved, "--replace-auto", "--yes")
    assert done.exit_code == 0, done.output

    def places(frame: int) -> list[tuple[float, str]]:
        return sorted((s["points"][0], s["source"]) for s in scene.shapes(frame))

    assert places(0) == [(18.0, "auto"), (120.0, "auto")]  # the edited one stays, nothing is drawn over it
    assert places(1) == [(120.0, "auto")]  # what somebody deleted does not come back
    # a person drew on this one: it is theirs
    assert places(2) == [(1.0, "manual"), (20.0, "auto"), (120.0, "auto")]
    assert "left to the people who have worked on them: 3;" in done.stderr
    assert places(3) == [(22.0, "auto"), (120.0, "auto")]
    after = scene.shapes()
    again = scene.call("prelabel", "--predictions", moved, "--replace-auto", "--yes")
    assert (again.exit_code, scene.shapes()) == (0, after), again.output
    filled = scene.call("prelabel", "--predictions", moved, "--replace-auto", "--fill", "--yes")
    assert filled.exit_code == 0, filled.output
    assert places(0) == [(18.0, "auto"), (120.0, "auto")]
    assert places(1) == [(120.0, "auto")]
    assert places(2) == [(1.0, "manual"), (22.0, "auto"), (120.0, "auto")]
    # and back to the first model: what was replaced may come again
    back = scene.call("prelabel", "--predictions", scene.results(BOTH, frames=[3]), "--replace-auto", "--yes",
                      "--frames", "3-3")  # fmt: skip
    assert (back.exit_code, places(3)) == (0, [(20.0, "auto"), (120.0, "auto")]), back.output
    undone = scene.undo()
    assert undone.exit_code == 1  # the edited shape is a conflict
    assert [(s["frame"], s["points"][0]) for s in scene.shapes()] == [(0, 18.0), (2, 1.0)]


def test_a_bad_frame_is_told_and_the_rest_is_done(
    server: FakeCvat, tmp_path: Path, yolo: Path, bus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"000.jpg": bus, "001.jpg": bus, "002.jpg": b"not a picture", "003.jpg": bus}
    scene = Scene(server, tmp_path, server.add_task("t", files, [*LABELS, {"name": "bus"}], segment_size=2))
    done = scene.call("prelabel", "--model", yolo, "--runtime", "torch", "--image-size", "320", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"]["could not be read or predicted"] == 1
    assert "002.jpg" in done.stderr
    assert {s["frame"] for job in scene.jobs for s in server.annotations(job)["shapes"]} == {0, 1, 3}

    def run_again(self: object, items: list[object]) -> list[object]:
        assert not items, "the model ran twice on the same picture"
        return []

    monkeypatch.setattr("audit.adapters.ultralytics.detector.Detector.predict", run_again)
    again = scene.call("prelabel", "--model", yolo, "--runtime", "torch", "--image-size", "320", "--frames", "0-1")
    assert again.exit_code == 0, again.output
    assert "drawn by an earlier run" in again.stdout


def test_label_types_are_kept(server: FakeCvat, tmp_path: Path) -> None:
    labels = [{"name": "person", "type": "polygon"}, {"name": "car", "type": "rectangle"}]
    scene = Scene(server, tmp_path, server.add_task("t", photos(6), labels, segment_size=3))
    done = scene.call("prelabel", "--predictions", scene.results(BOTH), "--yes")
    assert done.exit_code == 1
    assert "is for shapes of type polygon" in done.stdout
    assert len(scene.shapes()) == 6


def test_completed_jobs_are_left_alone(scene: Scene) -> None:
    scene.server.set_job(scene.jobs[0], stage="acceptance", state="completed")
    results = scene.results(BOTH)
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert (done.exit_code, {s["frame"] for s in scene.shapes()}) == (1, {3, 4, 5})
    assert scene.call("prelabel", "--predictions", results, "--yes", "--include-completed").exit_code == 0
    assert len(scene.shapes()) == 12


@pytest.mark.parametrize(
    ("stage", "state", "drawn"),
    [
        ("annotation", "new", True),
        ("annotation", "in progress", True),
        ("annotation", "rejected", True),
        ("annotation", "completed", False),
        ("validation", "new", False),
        ("acceptance", "new", False),
    ],
)
def test_jobs_that_are_done_with_annotating_get_nothing(scene: Scene, stage: str, state: str, drawn: bool) -> None:
    scene.server.set_job(scene.jobs[0], stage=stage, state=state)
    results = scene.results(BOTH)
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert done.exit_code == (0 if drawn else 1), done.output
    assert {s["frame"] for s in scene.shapes()} == ({0, 1, 2, 3, 4, 5} if drawn else {3, 4, 5})
    if not drawn:
        assert f"is in {stage}, {state}" in done.stdout
    moved = scene.results(MOVED)
    scene.server.set_job(scene.jobs[1], stage="annotation", state="completed")
    before = [s for s in scene.shapes() if s["frame"] > 2]
    scene.call("prelabel", "--predictions", moved, "--replace-auto", "--yes")
    assert [s for s in scene.shapes() if s["frame"] > 2] == before


def overlapping(server: FakeCvat, folder: Path) -> Scene:
    """Jobs of frames 0-2, 2-4 and 4-5."""
    scene = Scene(server, folder, server.add_task("t", photos(6), LABELS, segment_size=3, overlap=1))
    spans = [(job["start_frame"], job["stop_frame"]) for job in server.jobs(scene.task)]
    assert spans == [(0, 2), (2, 4), (4, 5)]
    return scene


def by_job(scene: Scene) -> list[list[int]]:
    return [sorted({s["frame"] for s in scene.server.annotations(job)["shapes"]}) for job in scene.jobs]


def test_a_frame_in_two_jobs_is_drawn_once(server: FakeCvat, tmp_path: Path) -> None:
    scene = overlapping(server, tmp_path)
    results = scene.results(BOTH)
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert (done.exit_code, by_job(scene)) == (0, [[0, 1, 2], [3, 4], [5]]), done.output
    before = scene.shapes()
    assert len(before) == 12
    scene.call("prelabel", "--predictions", results, "--yes")
    assert scene.shapes() == before
    moved = scene.results(MOVED)
    scene.call("prelabel", "--predictions", moved, "--replace-auto", "--yes")
    assert (by_job(scene), len(scene.shapes())) == ([[0, 1, 2], [3, 4], [5]], 12)
    assert {s["points"][0] for s in scene.shapes()} == {22.0, 120.0}
    scene.undo()
    assert scene.shapes() == []


def test_a_shared_frame_goes_to_the_job_that_is_open(server: FakeCvat, tmp_path: Path) -> None:
    scene = overlapping(server, tmp_path)
    server.set_job(scene.jobs[0], state="completed")
    results = scene.results(BOTH)
    scene.call("prelabel", "--predictions", results, "--yes")
    assert by_job(scene) == [[], [2, 3, 4], [5]]
    # opened again: what was drawn in the other job stands
    server.set_job(scene.jobs[0], state="in progress")
    scene.call("prelabel", "--predictions", results, "--yes")
    assert by_job(scene) == [[0, 1], [2, 3, 4], [5]]
    scene.call("prelabel", "--predictions", scene.results(MOVED), "--replace-auto", "--yes")
    assert by_job(scene) == [[0, 1], [2, 3, 4], [5]]
    assert {s["points"][0] for s in scene.shapes()} == {22.0, 120.0}


def test_labels_in_the_other_job_count_as_labels_of_a_shared_frame(server: FakeCvat, tmp_path: Path) -> None:
    scene = overlapping(server, tmp_path)
    label = server.labels(scene.task)["person"]
    mine = {"type": "rectangle", "frame": 2, "label_id": label, "points": [21.0, 30.0, 100.0, 90.0]}
    server.set_annotations(scene.jobs[1], {"shapes": [mine], "tags": [], "tracks": []})
    results = scene.results(BOTH)
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert by_job(scene) == [[0, 1], [2, 3, 4], [5]]
    assert "left to the people who have worked on them: 1;" in done.stderr
    filled = scene.call("prelabel", "--predictions", results, "--fill", "--yes")
    drawn = [s for s in server.annotations(scene.jobs[0])["shapes"] if s["frame"] == 2]
    assert [s["points"][0] for s in drawn] == [120.0]  # the person is there in the other job
    assert f"a label of job {scene.jobs[1]} is there".replace(str(scene.jobs[1]), "N") in filled.stdout


def test_a_server_that_goes_away_is_told_and_the_next_run_goes_on(scene: Scene) -> None:
    results = scene.results(BOTH)
    scene.server.faults.add(rf"/jobs/{scene.jobs[1]}/annotations/?\?action=create", status=500, times=1)
    failed = scene.call("prelabel", "--predictions", results, "--yes")
    assert isinstance(failed.exception, ServiceError)
    assert len(scene.shapes()) == 6
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert (done.exit_code, len(scene.shapes())) == (0, 12), done.output


def test_a_lost_answer_doubles_nothing(scene: Scene) -> None:
    results = scene.results(BOTH)
    scene.server.faults.add(r"/annotations/?\?action=create", drop=True, times=1)
    scene.call("prelabel", "--predictions", results, "--yes")
    done = scene.call("prelabel", "--predictions", results, "--yes")
    assert (done.exit_code, len(scene.shapes())) == (0, 12), done.output
    scene.undo()
    assert scene.shapes() == []


def test_wrong_use_is_one_line(scene: Scene, tmp_path: Path) -> None:
    results = scene.results(BOTH)
    for options, word in (
        ((), "--model"),
        (("--predictions", results, "--function", "yolo"), "exactly one"),
        (("--predictions", results, "--yes", "--dry-run"), "--dry-run"),
    ):
        done = scene.call("prelabel", *options)
        assert isinstance(done.exception, UsageError)
        assert word in str(done.exception)
    strange = scene.results([("lorry", PERSON, 0.9)])
    nothing = scene.call("prelabel", "--predictions", strange)
    assert "--map" in str(nothing.exception)
    mapped = scene.call("prelabel", "--predictions", strange, "--map", "lorry=car", "--json")
    assert json.loads(mapped.stdout)["counts"] == {"to do": 6}


def test_a_folder_of_another_run_is_not_touched(scene: Scene) -> None:
    results = scene.results(BOTH)
    audit = ("run", scene.source, "--predictions", results, "--out", scene.out, "--no-report", "--no-fiftyone")
    assert invoke(*audit).exit_code == 0
    before = (scene.out / "manifest.json").read_bytes()
    refused = scene.call("prelabel", "--predictions", results, "--yes")
    assert "cvat-audit run" in str(refused.exception)
    assert (scene.out / "manifest.json").read_bytes() == before
