"""Results files as other tools write them: images named by parts of their path, boxes in other units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.errors import UsageError

from .test_results import CATS, ROW, of, opened, source

NESTED = source(["images/Train/one/pic.jpg", "images/Train/two/pic.jpg", "images/Train/x.jpg"])


def named(name: str) -> dict[str, Any]:
    return {"file_name": name, "category_name": "cat", "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize("name", ["one/pic.jpg", "Train/one/pic.jpg", "/data/set/images/Train/one/pic.jpg"])
def test_folders_tell_apart_images_of_one_name(tmp_path: Path, name: str) -> None:
    results = opened(tmp_path, [named(name)], NESTED)
    assert [len(of(results, frame)) for frame in range(3)] == [1, 0, 0] and results.notes == ()


def test_other_folders_leave_a_name_of_two_images_ambiguous(tmp_path: Path) -> None:
    results = opened(tmp_path, [named("three/pic.jpg"), named("any/x.jpg")], NESTED)
    assert [len(of(results, frame)) for frame in range(3)] == [0, 0, 1]
    assert "1 name several images at once (first row 1: file_name 'three/pic.jpg')" in results.notes[0]


def test_a_stem_with_its_folders_is_an_id(tmp_path: Path) -> None:
    rows = [{**ROW, "image_id": "images/Train/two/pic"}]
    assert len(of(opened(tmp_path, rows, NESTED), 1)) == 1


def test_text_that_is_no_number_is_a_stem_though_the_source_numbers_its_images(tmp_path: Path) -> None:
    """As ultralytics writes ``image_id`` for files that are not called by a number."""
    numbered = source(["a b.jpg", "8.jpg"], image_id=[8, 9])
    rows = [{**ROW, "image_id": "a b"}, {**ROW, "image_id": "8", "score": 0.25}, {**ROW, "image_id": "8.jpg"}]
    results = opened(tmp_path, rows, numbered)
    assert of(results, 0).score.tolist() == [0.5, 0.25] and len(of(results, 1)) == 1


def test_corners_instead_of_sizes_are_told(tmp_path: Path) -> None:
    corners = [{**ROW, "bbox": [20, 15, 39, 29]}, {**ROW, "bbox": [1, 1, 9, 9]}]
    (note,) = opened(tmp_path, corners).notes
    assert note.startswith("results.json: 1 of 2 boxes end far outside of their image")
    assert opened(tmp_path, [{**ROW, "bbox": [-3, -3, 45, 35]}]).notes == ()
    assert opened(tmp_path, corners, source(["1.jpg"], width=[0], height=[0])).notes == ()


def test_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    shares = [{**ROW, "bbox": [0.1, 0.2, 0.5, 0.5]}, {**ROW, "bbox": [0, 0, 1, 1]}]
    with pytest.raises(UsageError, match="in pixels, not in shares of the image"):
        opened(tmp_path, shares, CATS)
    assert len(of(opened(tmp_path, [*shares, ROW]), 0)) == 3


def test_a_coordinate_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"row 1: bbox is \[1, 2, null or NaN, 4\]"):
        opened(tmp_path, '[{"image_id": 1, "category_name": "cat", "bbox": [1, 2, NaN, 4], "score": 0.5}]')


def test_a_file_without_faint_predictions_is_told(tmp_path: Path) -> None:
    sure = [{**ROW, "score": 0.25 + k / 100} for k in range(50)]
    (note,) = opened(tmp_path, sure).notes
    assert note.startswith("results.json: no prediction is below 25 %.")
    assert opened(tmp_path, sure[:49]).notes == ()
    assert opened(tmp_path, [*sure, {**ROW, "score": 0.01}]).notes == ()
