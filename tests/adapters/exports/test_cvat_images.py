from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from audit.core.annotations import ShapeType
from audit.errors import UsageError

from .samples import box, cvat_xml, image, segment

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "exports"


def test_no_images_at_all_is_an_empty_snapshot(read):
    snapshot = read({"annotations.xml": cvat_xml("", size=0)})
    assert len(snapshot.frames) == len(snapshot.annotations) == 0
    assert snapshot.labels == ("car", 'Fußgänger <A> & "B"', "pose")  # a skeleton's point is no label


def test_a_frame_without_shapes_is_kept(read):
    snapshot = read({"annotations.xml": cvat_xml(image(4))})
    assert snapshot.frames.number.tolist() == [4]
    assert len(snapshot.annotations) == 0


def test_the_recorded_export_of_a_real_server(read):
    snapshot = read(GOLDEN / "cvat-2.73-task-images.zip")
    a = snapshot.annotations
    assert snapshot.labels == ("person", "outline", "blob", "dot", "anything", "pose")
    assert snapshot.frames.name.tolist() == [f"photo_{i}.jpg" for i in range(6)]
    assert snapshot.frames.job.tolist() == [26, 26, 26, 27, 27, 27]
    assert [(j.id, j.task) for j in snapshot.jobs] == [(26, 17), (27, 17)]
    assert snapshot.frame_link(3) == "http://cvat.test/tasks/17/jobs/27?frame=3"
    kinds = "RECTANGLE POLYGON RECTANGLE TAG POLYLINE POINTS ELLIPSE MASK CUBOID SKELETON RECTANGLE RECTANGLE RECTANGLE"
    assert [ShapeType(s).name for s in a.shape] == kinds.split()
    assert a.annotation_id.tolist() == list(range(1, 14))
    assert a.source[0] == "auto" and a.occluded.tolist().count(True) == 2
    assert a.xyxy[6].tolist() == [60, 70, 140, 130]
    assert not snapshot.problems and not snapshot.notes


def test_the_recorded_mask_decodes_to_its_pixels(read):
    snapshot = read(GOLDEN / "cvat-2.73-task-images.zip")
    row = snapshot.annotations.shape.tolist().index(ShapeType.MASK)
    decoded = coco_mask.decode({"size": [240, 320], "counts": snapshot.annotations.mask[row]})
    expected = np.zeros((240, 320), np.uint8)
    expected[30:34, 42:46] = 1  # rle 2,4,4,4,4,4,4,4,2 in a box of 8 x 4 at (40, 30)
    assert np.array_equal(decoded, expected)


def test_a_rotated_box_comes_as_outline_and_enclosing_box(read):
    snapshot = read({"annotations.xml": cvat_xml(image(0, box(10, 10, 30, 20, extra='rotation="90.00"')))})
    a = snapshot.annotations
    assert a.rotation.tolist() == [90] and a.shape.tolist() == [ShapeType.RECTANGLE]
    np.testing.assert_allclose(a.xyxy[0], [15, 5, 25, 25])
    # clockwise on screen: the upper left corner comes to lie at the upper right
    np.testing.assert_allclose(a.points[0][0][0], [25, 5])


def test_all_positions_count_even_those_left_out(read):
    broken = '<polygon label="car" points="1,2;x"></polygon><polygon label="car" points="1,2;3"></polygon>'
    snapshot = read({"annotations.xml": cvat_xml(image(0, box(1, 2, 3, 4) + broken + box(5, 6, 7, 8)))})
    assert snapshot.annotations.annotation_id.tolist() == [1, 4]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "abc", ""])
def test_a_coordinate_that_is_no_number_becomes_nan(read, value):
    snapshot = read({"annotations.xml": cvat_xml(image(0, box(1, value, 3, 4, extra='rotation="10"')))})
    assert np.isnan(snapshot.annotations.xyxy[0]).tolist() == [False, True, False, False]


def test_swapped_corners_stay_swapped(read):
    snapshot = read({"annotations.xml": cvat_xml(image(0, box(30, 20, 10, 5)))})
    assert snapshot.annotations.xyxy.tolist() == [[30, 20, 10, 5]]


def test_an_unknown_label_names_the_image_and_the_label(read):
    with pytest.raises(UsageError, match=r"image '0\.png': label 'lorry' is not declared .*car"):
        read({"annotations.xml": cvat_xml(image(0, box(1, 2, 3, 4, label="lorry")))})


@pytest.mark.parametrize(
    "shape, reason",
    [
        ('<mask label="car" rle="1, 2" left="0" top="0" width="4" height="4"/>', "covers 3 px of 4 x 4 = 16"),
        ('<mask label="car" rle="1, x" left="0" top="0" width="4" height="4"/>', "other than numbers"),
        ('<mask label="car" rle="16" left="90" top="0" width="4" height="4"/>', "outside of the image"),
        ('<mask label="car" rle="9999999999" left="0" top="0" width="99999" height="99999"/>', "megapixels"),
        ('<mask label="car" rle="4" width="2" height="2"/>', "left, top, width, height"),
        ('<polygon label="car" points=""/>', "no points"),
        ('<skeleton label="pose"></skeleton>', "no single place"),
    ],
)
def test_one_bad_shape_is_a_problem_and_the_rest_goes_on(read, shape, reason):
    snapshot = read({"annotations.xml": cvat_xml(image(0, shape + box(1, 2, 3, 4)))})
    assert len(snapshot.annotations) == 1
    assert reason in snapshot.problems[0].reason and snapshot.problems[0].where == "0.png"


def test_wrong_and_repeated_image_ids_are_problems(read):
    body = image(0) + image(0, name="again.png") + '<image id="x" name="odd.png"/>' + image(1)
    snapshot = read({"annotations.xml": cvat_xml(body)})
    assert snapshot.frames.number.tolist() == [0, 1]
    assert [p.where for p in snapshot.problems] == ["image 'again.png'", "image 'odd.png'"]


@pytest.mark.parametrize("width", ["99999999999999999999999", "300000", "-5", "wide"])
def test_a_size_no_image_can_have_is_taken_as_unknown(read, width):
    snapshot = read({"annotations.xml": cvat_xml(image(0, box(1, 2, 3, 4), width=width, height=300000))})
    assert snapshot.frames.width.tolist() == [0] and len(snapshot.annotations) == 1
    assert "no image can have" in snapshot.problems[0].reason


def test_a_project_with_two_tasks_whose_frame_numbers_repeat(read):
    tasks = "".join(
        f"<task><id>{t}</id><size>1</size><segments>{segment(t * 10, 0, 0)}</segments></task>" for t in (1, 2)
    )
    labels = "<labels><label><name>car</name></label></labels>"
    shots = "".join(f'<image id="0" name="a.png" subset="S{t}" task_id="{t}" width="4" height="3"/>' for t in (1, 2))
    xml = f"<annotations><meta><project>{labels}<tasks>{tasks}</tasks></project></meta>{shots}</annotations>"
    snapshot = read({"annotations.xml": xml})
    assert snapshot.frames.task.tolist() == [1, 2] and snapshot.frames.job.tolist() == [10, 20]


def test_a_job_export_names_its_assignee(read):
    xml = (
        "<annotations><meta><job><id>5</id><size>1</size><assignee><username>ann</username></assignee>"
        f"<segments>{segment(5, 0, 2)}</segments><labels><label><name>car</name></label></labels></job></meta>"
        f"{image(0)}</annotations>"
    )
    snapshot = read({"annotations.xml": xml})
    assert [(j.id, j.assignee) for j in snapshot.jobs] == [(5, "ann")]
    assert snapshot.frames.job.tolist() == [5] and snapshot.frames.task.tolist() == [-1]


def test_jobs_of_a_stepped_task_are_found_by_the_frame_within_the_task(read):
    xml = cvat_xml(image(10) + image(13), start="10", step="step=3", segments=segment(1, 0, 0) + segment(2, 1, 1))
    snapshot = read({"annotations.xml": xml})
    assert snapshot.frames.job.tolist() == [1, 2] and snapshot.link == ""


def test_a_frame_range_keeps_ids_of_the_whole_document(read):
    xml = cvat_xml(image(0, box(1, 2, 3, 4)) + image(1, box(1, 2, 3, 4)) + image(2))
    snapshot = read({"annotations.xml": xml}, frames=range(1, 3))
    assert snapshot.frames.number.tolist() == [1, 2]
    assert snapshot.annotations.annotation_id.tolist() == [2] and snapshot.annotations.frame.tolist() == [0]


def test_a_range_without_frames_is_said(read):
    with pytest.raises(UsageError, match="no frame in the range asked for, 5 to 8"):
        read({"annotations.xml": cvat_xml(image(0))}, frames=range(5, 9))


def test_a_link_is_never_made_of_anything_but_a_plain_server_address(read):
    odd = segment(1, 0, 9).replace("http://cvat.test:8080", "javascript:alert(1)//{x}")
    assert read({"annotations.xml": cvat_xml(image(0), segments=odd)}).link == ""
