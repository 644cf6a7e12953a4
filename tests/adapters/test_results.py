"""A results file of any origin: rows find their frames and classes, faults name their row."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from audit.adapters import results as results_module
from audit.adapters.results import ResultsFile, open_results
from audit.core import masks
from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.errors import ServiceError, UsageError
from audit.ports import PredictItem

ROW: dict[str, Any] = {"image_id": 1, "category_name": "cat", "bbox": [1, 2, 3, 4], "score": 0.5}


def source(names: list[str], **columns: Any) -> Snapshot:
    n = len(names)
    usual = {"number": range(n), "width": [40] * n, "height": [30] * n}
    return Snapshot("test", ("cat",), Frames(name=names, **{**usual, **columns}), Annotations())


CATS = source(["1.jpg", "sub/two.jpg"])


def opened(tmp_path: Path, content: Any, snapshot: Snapshot = CATS, **options: Any) -> ResultsFile:
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return open_results(path, snapshot, **options)


def of(results: ResultsFile, frame: int) -> Predictions:
    answer = results.predict([PredictItem(frame, "", -1, -1, frame, (0, 0), "", None)])[0]
    assert isinstance(answer, Predictions)
    return answer


def test_a_list_without_rows_predicts_nothing_and_says_so(tmp_path: Path) -> None:
    results = opened(tmp_path, [])
    assert (results.labels, len(of(results, 0)), results.predict([])) == ((), 0, [])
    assert results.notes == ("results.json holds no predictions",)
    assert (results.needs_images, results.digest) == (False, "")


def test_rows_come_back_in_pixels_by_frame(tmp_path: Path) -> None:
    second = {"file_name": "sub/two.jpg", "category_name": "dog", "bbox": [0, 0, 2.5, 1], "score": 1}
    results = opened(tmp_path, [second, ROW, {**ROW, "score": 0.25}])
    assert results.labels == ("dog", "cat")
    assert of(results, 0).xyxy.tolist() == [[1, 2, 4, 6]] * 2
    assert of(results, 0).score.tolist() == [0.5, 0.25]
    assert of(results, 1).xyxy.tolist() == [[0, 0, 2.5, 1]]
    assert [results.labels[c] for c in of(results, 1).label] == ["dog"]
    assert results.notes == ()


@pytest.mark.parametrize(
    ("key", "frame"),
    [
        ({"image_id": 1}, 0),
        ({"image_id": "1"}, 0),
        ({"image_id": "1.jpg"}, 0),
        ({"image_id": "two"}, 1),
        ({"file_name": "two.jpg"}, 1),
        ({"file_name": "elsewhere/two.jpg"}, 1),
        ({"file_name": "sub\\two.jpg"}, 1),
        ({"file_name": "./1.jpg", "image_id": 77}, 0),
        ({"file_name": "nowhere.jpg", "image_id": 1}, 0),
    ],
)
def test_an_image_is_named_in_many_ways(tmp_path: Path, key: dict[str, Any], frame: int) -> None:
    row = {k: v for k, v in ROW.items() if k != "image_id"}
    results = opened(tmp_path, [{**row, **key}])
    assert len(of(results, frame)) == 1
    assert len(of(results, 1 - frame)) == 0


def test_stems_with_leading_zeros_are_numbers_too(tmp_path: Path) -> None:
    assert len(of(opened(tmp_path, [{**ROW, "image_id": 139}], source(["000000000139.jpg"])), 0)) == 1


def test_where_the_source_numbers_its_images_stems_are_no_ids(tmp_path: Path) -> None:
    snapshot = source(["2.jpg", "1.jpg"], image_id=[1, 2])
    assert len(of(opened(tmp_path, [ROW], snapshot), 0)) == 1


def test_frames_that_share_a_picture_share_its_predictions(tmp_path: Path) -> None:
    snapshot = source(["1.jpg", "1.jpg"], task=[5, 5], job=[1, 2], number=[3, 3])
    results = opened(tmp_path, [ROW], snapshot)
    assert [len(of(results, f)) for f in (0, 1)] == [1, 1]


def test_a_task_and_a_frame_s_number_in_it_tell_names_apart(tmp_path: Path) -> None:
    snapshot = source(["1.jpg", "1.jpg"], task=[7, 8], number=[0, 0])
    row = {"file_name": "1.jpg", "category_name": "cat", "bbox": [1, 2, 3, 4], "score": 0.5}
    results = opened(tmp_path, [{**row, "task": 8, "frame": 0}], snapshot)
    assert (len(of(results, 0)), len(of(results, 1)), results.notes) == (0, 1, ())
    for place in ({"task": 9, "frame": 0}, {"task": [8], "frame": 0}, {"task": 8}):  # not ours: the name decides
        with pytest.raises(UsageError, match="several images"):
            opened(tmp_path, [{**row, **place}], snapshot)


def test_a_name_in_two_tasks_is_ambiguous_and_counted(tmp_path: Path) -> None:
    snapshot = source(["1.jpg", "1.jpg", "2.jpg"], task=[5, 6, 6])
    results = opened(tmp_path, [ROW, {**ROW, "image_id": 2}], snapshot)
    assert [len(of(results, f)) for f in range(3)] == [0, 0, 1]
    assert results.notes == ("results.json: of 2 rows 1 name several images at once (first row 1: image_id 1)",)


@pytest.mark.parametrize("own", ["1.jpg", "val/1.jpg"])
def test_files_of_two_folders_never_become_one_image(tmp_path: Path, own: str) -> None:
    row = {"category_name": "cat", "bbox": [1, 2, 3, 4], "score": 0.5}
    paths = ["val/1.jpg", "/data/set/val/1.jpg", "1.jpg"]  # one file, more or less of its path told
    results = opened(tmp_path, [{**row, "file_name": path} for path in paths], source([own]))
    assert (len(of(results, 0)), results.notes) == (3, ())
    both = [{**row, "file_name": "val/1.jpg"}, {**row, "file_name": "train/1.jpg"}]
    listed = [{"id": i, "file_name": both[i]["file_name"]} for i in range(2)]
    by_id = {"images": listed, "annotations": [{**row, "image_id": i} for i in range(2)]}
    for content in (both, both[::-1], by_id):
        with pytest.raises(UsageError, match=r"row 2: .*val/1\.jpg.* fit the image"):
            opened(tmp_path, content, source([own]))


def test_unknown_images_are_counted_and_all_unknown_is_an_error(tmp_path: Path) -> None:
    lost = {**ROW, "image_id": 9}
    assert "of 3 rows 2 name an image that is not here (first row 2" in opened(tmp_path, [ROW, lost, lost]).notes[0]
    with pytest.raises(UsageError, match=r"of 1 rows 1 name an image that is not here.*Do the predictions belong"):
        opened(tmp_path, [lost])


def test_an_object_brings_its_images_and_categories_in_any_order(tmp_path: Path) -> None:
    row = {"image_id": 70, "category_id": 9, "bbox": [0, 0, 1, 1], "score": 0.5}
    content = {
        "annotations": [row],
        "categories": [{"id": 9, "name": "cow"}, {"id": 3, "name": "ant"}],
        "images": [{"id": 70, "file_name": "two.jpg"}],
    }
    results = opened(tmp_path, content)
    assert results.labels == ("ant", "cow")
    assert [results.labels[c] for c in of(results, 1).label] == ["cow"]


def test_ids_take_their_names_from_the_sources_categories(tmp_path: Path) -> None:
    row = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 0.5}
    results = opened(tmp_path, [row], categories={1: "bird", 3: "cat"})
    assert results.labels == ("bird", "cat")
    assert of(results, 0).label.tolist() == [1]
    assert opened(tmp_path, [ROW], categories={1: "bird", 3: "cat"}).labels == ("cat",)


SQUARE = np.zeros((30, 40), np.uint8)
SQUARE[5:15, 10:25] = 1
RLE = coco_mask.encode(np.asfortranarray(SQUARE))


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [30, 40], "counts": RLE["counts"].decode()},
        {"size": [30, 40], "counts": [10 * 30 + 5, *[10, 20] * 14, 10, 30 * 40 - (24 * 30 + 15)]},
        [[10, 5, 25, 5, 25, 15, 10, 15]],
    ],
)
def test_masks_come_as_compressed_runs(tmp_path: Path, segmentation: Any) -> None:
    found = of(opened(tmp_path, [{**ROW, "segmentation": segmentation}, ROW]), 0)
    assert np.array_equal(masks.decode(found.mask[0], (30, 40)), SQUARE)
    assert found.mask[1] is None
    boxless = {k: v for k, v in ROW.items() if k != "bbox"}
    found = of(opened(tmp_path, [{**boxless, "segmentation": segmentation}]), 0)
    assert found.xyxy.tolist() == [[10, 5, 25, 15]]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"score": None}, "score is null or NaN"),
    ({"score": float("nan")}, "score is null or NaN"),
    ({"score": float("inf")}, "score is"),
    ({"score": -0.1}, "score is -0.1, expected a number from 0 to 1"),
    ({"score": 87.5}, "score is 87.5"),
    ({"score": "0.5"}, "score is '0.5'"),
    ({"score": True}, "score is True"),
    ({"bbox": [1, 2, 3]}, r"expected \[x, y, width, height\]"),
    ({"bbox": [1, 2, float("nan"), 4]}, "bbox is"),
    ({"bbox": [1, 2, -3, 4]}, "bbox is"),
    ({"bbox": "1 2 3 4"}, "bbox is"),
    ({"bbox": None}, "neither bbox nor segmentation"),
    ({"image_id": None}, "neither image_id nor file_name"),
    ({"image_id": [1]}, "image_id is"),
    ({"file_name": 3}, "file_name is 3"),
    ({"category_name": None}, "neither category_id nor category_name"),
    ({"category_name": ["cat"]}, "category_name is"),
    ({"category_name": None, "category_id": 5}, "category_id 5 has no name"),
    ({"segmentation": [[1, 2, 3]]}, "neither an RLE nor a list of polygons"),
    ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "neither an RLE"),
    ({"segmentation": [[0, 0, 1e8, 0, 0, 1e8]]}, "far outside"),
    ({"segmentation": {"size": [10, 10], "counts": [100]}}, "10 x 10 px, the image 40 x 30"),
    ({"segmentation": {"size": [30, 40], "counts": [7]}}, "covers 7 px"),
    ({"segmentation": {"size": [30, 40], "counts": "\u00ff!"}}, "RLE is broken"),
    ({"segmentation": "x"}, "neither an RLE"),
]


@pytest.mark.parametrize(("change", "reason"), FAULTS)
def test_a_fault_names_file_row_and_reason_in_one_line(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=rf"results\.json: row 2: .*{reason}") as caught:
        opened(tmp_path, [ROW, {**ROW, **change}])
    assert "\n" not in str(caught.value)


def test_a_category_id_that_is_not_listed_is_a_fault(tmp_path: Path) -> None:
    row = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 0.5}
    with pytest.raises(UsageError, match=r"row 1: category_id 5 is not among the categories \(3"):
        opened(tmp_path, [row], categories={3: "cat"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("42", "expected a JSON list"),
        ("PK\x03\x04", "expected a JSON list"),
        ('[{"image_id": 1,\n "score": }]', "line 2, column 11"),
        ('[{"image_id": 1', "line 1, column 16"),
        ("[1]", "row 1: is int, expected an object"),
        ("[[]]", "row 1: is list, expected an object"),
        ("[" * 100_000, "nested more than 64 levels"),
        ('[{"a":' * 100_000, "nested more than 64 levels"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        opened(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        open_results(tmp_path / "no.json", CATS)
    with pytest.raises(UsageError, match="cannot be read"):
        open_results(tmp_path, CATS)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert len(of(opened(tmp_path, "\ufeff" + json.dumps([ROW])), 0)) == 1


@pytest.mark.parametrize("name", ["[" * 100, '"' + "[" * 100, "\\\\" + "{" * 100, "x" * 300_000 + '\\"' + "[" * 100])
def test_brackets_in_strings_are_no_nesting(tmp_path: Path, name: str) -> None:
    assert opened(tmp_path, [{**ROW, "category_name": name}] * 3).labels == (name,)


def test_many_rows_take_little_time(tmp_path: Path) -> None:
    rows = [{**ROW, "image_id": i % 500, "score": (i % 100) / 100} for i in range(50_000)]
    started = time.monotonic()
    results = opened(tmp_path, rows, source([f"{i}.jpg" for i in range(500)]))
    assert time.monotonic() - started < 10
    assert sum(len(of(results, f)) for f in range(500)) == 50_000
    assert np.allclose(of(results, 7).score[:3], [0.07, 0.07, 0.07])


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_rows_that_wait_on_disk_come_back_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(results_module, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(results_module, "FEWEST_PICTURES", 2)
    names = [f"{i}.jpg" for i in range(7)]
    mask = {"size": [30, 40], "counts": coco_mask.encode(np.ones((30, 40), np.uint8, order="F"))["counts"].decode()}
    order = np.random.default_rng(1).integers(0, 7, 40).tolist()
    rows = [{**ROW, "image_id": i, "score": k / 100, **({"segmentation": mask} if k % 3 == 0 else {})}
            for k, i in enumerate(order)]  # fmt: skip
    results = opened(tmp_path, rows, source(names), folder=tmp_path)
    for frame in (*range(7), 2, 0):
        found = of(results, frame)
        mine = [k for k, i in enumerate(order) if i == frame]
        assert found.score.tolist() == [k / 100 for k in mine]
        assert [m is not None for m in found.mask] == [k % 3 == 0 for k in mine]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    results.close()


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ServiceError, match=rf"{tmp_path}: No space left on device"):
        opened(tmp_path, [ROW], folder=tmp_path)


TRIANGLE = np.array([[0, 0], [9, 0], [9, 9]])


def test_size_of_the_picture_is_that_of_its_last_frame(tmp_path: Path) -> None:
    twice = source(["1.jpg", "1.jpg"], width=[0, 40], height=[0, 30], task=[5, 5])
    polygon = {"segmentation": [[0, 0, 9, 0, 9, 9]], "image_id": 1, "category_name": "cat", "score": 1}
    results = opened(tmp_path, [polygon], twice)
    assert of(results, 0).mask.tolist() == of(results, 1).mask.tolist() == [masks.rle_of_rings([TRIANGLE], (30, 40))]
