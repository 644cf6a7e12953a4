from __future__ import annotations

import numpy as np
import pytest

from audit.adapters.exports import cvat_video, xmlstream
from audit.adapters.exports.archive import open_files
from audit.core.annotations import ShapeType
from audit.errors import UsageError

from .conftest import Silent, picture, write_folder
from .samples import cvat_xml

SIZE = "<original_size><width>40</width><height>30</height></original_size>"


def track(shapes: str, ident: int = 3, label: str = "car") -> str:
    return f'<track id="{ident}" label="{label}" source="file">{shapes}</track>'


def at(frame: int, x: float, outside: int = 0, keyframe: int = 1) -> str:
    state = f'frame="{frame}" outside="{outside}" occluded="0" keyframe="{keyframe}"'
    return f'<box {state} xtl="{x}" ytl="2" xbr="{x + 5}" ybr="9"></box>'


def video(body: str, size: int = 5, **meta: str) -> dict[str, str]:
    return {"annotations.xml": cvat_xml(body, size=size, mode="interpolation", original_size=SIZE, **meta)}


def test_a_video_without_tracks_has_all_its_frames(read):
    snapshot = read(video(""))
    assert snapshot.frames.name.tolist() == [f"frame_{i:06d}" for i in range(5)]
    assert snapshot.frames.width.tolist() == [40] * 5 and len(snapshot.annotations) == 0


def test_a_dense_track_is_taken_as_it_stands(read):
    shapes = at(0, 1) + at(1, 7, keyframe=0) + at(2, 3) + at(3, 3, outside=1)
    snapshot = read(video(track(shapes)))
    a = snapshot.annotations
    assert a.frame.tolist() == [0, 1, 2] and a.xyxy[:, 0].tolist() == [1, 7, 3]
    assert a.annotation_id.tolist() == [3, 3, 3] and a.track.all() and a.source.tolist() == ["file"] * 3


def test_a_sparse_track_is_filled_linearly_and_held_to_the_end(read):
    snapshot = read(video(track(at(0, 0) + at(2, 10))))
    assert snapshot.annotations.frame.tolist() == [0, 1, 2, 3, 4]
    assert snapshot.annotations.xyxy[:, 0].tolist() == [0, 5, 10, 10, 10]


def test_outside_hides_until_the_track_comes_back(read):
    snapshot = read(video(track(at(0, 1) + at(1, 1, outside=1) + at(3, 8) + at(4, 8, outside=1))))
    assert snapshot.annotations.frame.tolist() == [0, 3]


def test_polygons_with_other_numbers_of_points_are_held(read):
    def polygon(frame: int, points: str) -> str:
        return f'<polygon frame="{frame}" outside="0" points="{points}"></polygon>'

    snapshot = read(video(track(polygon(0, "0,0;4,0;4,4") + polygon(2, "0,0;4,0;4,4;0,4")), size=3))
    assert [len(p[0]) for p in snapshot.annotations.points] == [3, 3, 4]


def test_a_skeleton_is_hidden_when_all_its_points_are_outside(read):
    def pose(frame: int, outside: int) -> str:
        node = f'<points label="head" outside="{outside}" occluded="0" points="{frame + 1}.0,3.0"></points>'
        return f'<skeleton frame="{frame}" keyframe="1">{node}</skeleton>'

    snapshot = read(video(track(pose(0, 0) + pose(2, 1), label="pose")))
    assert snapshot.annotations.shape.tolist() == [ShapeType.SKELETON] * 2
    assert snapshot.annotations.frame.tolist() == [0, 1]


def test_frames_of_a_stepped_video_are_counted_in_the_media(read):
    snapshot = read(video(track(at(10, 0) + at(16, 12)), size=3, start="10", step="step=3"))
    assert snapshot.frames.number.tolist() == [10, 13, 16]
    assert snapshot.annotations.xyxy[:, 0].tolist() == [0, 6, 12]


def test_without_a_stated_size_frames_reach_as_far_as_the_tracks(read):
    xml = video(track(at(0, 1) + at(3, 1)))["annotations.xml"].replace("<size>5</size>", "")
    assert len(read({"annotations.xml": xml}).frames) == 4


def test_a_shape_on_a_frame_that_is_not_there_and_a_bad_one_are_problems(read):
    bad = '<mask frame="1" outside="0" rle="5" left="0" top="0" width="2" height="2"></mask>'
    snapshot = read(video(track(at(0, 1) + at(99, 1) + bad + at(1, 1, outside=1))))
    assert {p.where for p in snapshot.problems} == {"track 3", "track 3, frame 1"}
    assert snapshot.annotations.frame.tolist() == [0]


def test_an_unknown_label_names_the_track(read):
    with pytest.raises(UsageError, match="track 3: label 'lorry'"):
        read(video(track(at(0, 1), label="lorry")))


def test_a_declared_size_beyond_reason_does_not_fill_the_memory(read):
    snapshot = read(video(track(at(0, 1) + at(2, 1)), size=10**15))
    assert len(snapshot.frames) == 3


def test_a_frame_range_cuts_tracks_too(read):
    snapshot = read(video(track(at(0, 0) + at(4, 8))), frames=range(1, 3))
    assert snapshot.frames.number.tolist() == [1, 2]
    assert snapshot.annotations.xyxy[:, 0].tolist() == [2, 4] and snapshot.annotations.frame.tolist() == [0, 1]


def test_cvats_own_file_names_are_found(opened, tmp_path):
    files = video(track(at(0, 1)), size=2) | {
        "images/frame_000001.PNG": picture(),
        "images/frame_000000.PNG": picture(),
    }
    store = opened(write_folder(tmp_path / "v", files))
    snapshot = store.snapshot(Silent())
    assert snapshot.frames.name.tolist() == ["frame_000000.PNG", "frame_000001.PNG"]
    assert [i.path.name for i in store.images(snapshot, [1])] == ["frame_000001.PNG"]


def test_images_of_a_task_that_was_no_video_are_given_in_order_and_said(read):
    files = video("", size=3) | {f"images/shot{i}.png": picture() for i in (2, 10, 1)}
    snapshot = read(files)
    assert [n.rsplit("/", 1)[-1] for n in snapshot.frames.name] == ["shot1.png", "shot2.png", "shot10.png"]
    assert "order of their names" in snapshot.notes[0]
    assert "no image is used" in read(video("", size=2)).notes[0]


def test_interpolation_is_exact_at_the_keyframes(read):
    rng = np.random.default_rng(0)
    xs = rng.uniform(0, 30, 3).round(2)
    snapshot = read(video(track(at(0, xs[0]) + at(2, xs[1]) + at(4, xs[2]))))
    np.testing.assert_allclose(snapshot.annotations.xyxy[[0, 2, 4], 0], xs)
    np.testing.assert_allclose(snapshot.annotations.xyxy[1, 0], (xs[0] + xs[1]) / 2)


def test_shapes_in_any_order_are_one_track(read, monkeypatch):
    monkeypatch.setattr(cvat_video, "WINDOW", 2)
    snapshot = read(video(track(at(2, 10) + at(0, 0) + at(1, 7) + at(1, 5) + at(3, 20))))
    assert snapshot.annotations.xyxy[:, 0].tolist() == [0, 5, 10, 20, 20]
    assert snapshot.problems == ()


def test_a_shape_long_after_its_place_is_a_problem_and_the_track_goes_on(read, monkeypatch):
    monkeypatch.setattr(cvat_video, "WINDOW", 1)
    snapshot = read(video(track(at(1, 1) + at(2, 2) + at(3, 3) + at(0, 9) + at(4, 4))))
    assert snapshot.annotations.frame.tolist() == [1, 2, 3, 4]
    assert [(p.where, p.reason[:21]) for p in snapshot.problems] == [("track 3, frame 0", "comes more than 1 sha")]


def test_of_a_track_no_more_is_in_memory_than_the_parser_reads_at_once(tmp_path):
    body = "".join(track("".join(at(i, 1) for i in range(5000)), ident) for ident in range(3))
    files = open_files(write_folder(tmp_path / "v", video(body, size=5000)))
    seen, most = [], 0
    for element, shapes in xmlstream.parts(files, "annotations.xml", within="track"):
        if element.tag == "track":
            assert element.get("label") == "car"
            for shape in shapes:
                seen.append(int(shape.get("frame")))
                most = max(most, len(element))
    assert seen == [*range(5000)] * 3
    assert most < 1500


def test_a_track_that_nobody_reads_is_passed_over(tmp_path):
    files = open_files(write_folder(tmp_path / "v", video(track(at(0, 1)) + track(at(1, 2)))))
    tags = [element.tag for element, _ in xmlstream.parts(files, "annotations.xml", within="track")]
    assert tags == ["version", "meta", "track", "track"]


def test_a_file_that_ends_inside_a_track_is_told(read):
    whole = video(track(at(0, 1) + at(1, 2)))["annotations.xml"]
    with pytest.raises(UsageError, match="is not whole XML"):
        read({"annotations.xml": whole[: whole.index('frame="1"')]})
