"""Labels and pictures as a YOLO dataset: what is linked, what is copied, and that nobody's file is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit import dataset
from audit.core.annotations import Annotations, ShapeType
from audit.errors import UsageError
from audit.loop.folds import Plan
from tests.doubles.progress import Noted
from tests.training_scenes import HEIGHT, HW, WIDTH, Size, Store, encoded, snapshot


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(exif=exif)


def gathered(
    tmp_path: Path, pictures: Sequence[bytes | None], sizes_hw: Sequence[Size] | None = None
) -> dataset.Pictures:
    return dataset.gather(Store(tmp_path / "in", pictures), snapshot(len(pictures), sizes_hw), tmp_path, Noted())


def test_no_pictures(tmp_path: Path) -> None:
    found = gathered(tmp_path, [])
    assert (len(found.frames), found.files, found.problems) == (0, (), ())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_pictures_are_linked(tmp_path: Path, form: str, mode: str) -> None:
    found = gathered(tmp_path, [encoded(form, mode=mode)])
    link = tmp_path / "images" / found.files[0]
    assert link.resolve() == (tmp_path / "in" / "0.jpg").resolve()
    assert (int(found.frames.height[0]), int(found.frames.width[0])) == HW


@pytest.mark.parametrize(
    ("data", "stated", "size_hw"),
    [
        (encoded()[:-2] + b"\x00\x00", (0, 0), HW),  # ultralytics would "repair" the file that the link leads to
        (encoded() + b"more", (0, 0), HW),
        (encoded("GIF"), (0, 0), HW),
        (encoded("PNG", mode="RGBA"), (0, 0), HW),
        (encoded("JPEG", mode="CMYK"), (0, 0), HW),
        (turned(), HW, HW),  # labelled as if it had not been turned
    ],
)
def test_what_trainers_read_in_another_way_is_copied(
    tmp_path: Path, data: bytes, stated: tuple[int, int], size_hw: tuple[int, int]
) -> None:
    found = gathered(tmp_path, [data], [stated])
    copy = tmp_path / "images" / found.files[0]
    assert not copy.is_symlink()
    with Image.open(copy) as image:
        assert (image.format, image.mode, (image.height, image.width)) == ("PNG", "RGB", size_hw)
    assert (tmp_path / "in" / "0.jpg").read_bytes() == data


def test_a_turned_picture_labelled_as_shown_is_linked(tmp_path: Path) -> None:
    found = gathered(tmp_path, [turned()], [(WIDTH, HEIGHT)])
    assert (tmp_path / "images" / found.files[0]).is_symlink()
    assert (int(found.frames.height[0]), int(found.frames.width[0])) == (WIDTH, HEIGHT)


def test_pictures_that_cannot_be_used_are_told_and_left_out(tmp_path: Path) -> None:
    pictures = [encoded(), None, b"", b"no picture", encoded()[:700], encoded()]
    found = gathered(tmp_path, pictures, [(0, 0)] * 5 + [(99, 99)])
    assert found.row.tolist() == [0]
    assert [p.where for p in found.problems] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert "is not there" in found.problems[0].reason
    assert "expected 99 x 99" in found.problems[-1].reason


def test_likeness_shows_in_the_hashes(tmp_path: Path) -> None:
    found = gathered(tmp_path, [encoded(), encoded(quality=60), encoded("PNG"), encoded(hw=(44, 66))])
    apart = [bin(int(found.hashes[0]) ^ int(h)).count("1") for h in found.hashes]
    assert max(apart[:3]) <= 6
    assert apart[3] > 12


def labelled() -> Annotations:
    shapes = [ShapeType.RECTANGLE, ShapeType.POLYGON, ShapeType.POLYLINE, ShapeType.RECTANGLE, ShapeType.MASK]
    return Annotations(
        xyxy=[[0, 0, 30, 20], [10, 10, 90, 30], [0, 0, 9, 9], [5, 5, 5, 9], [1, 1, 4, 4]],
        frame=[1, 0, 0, 1, 1],
        label=[0, 1, 0, 0, 0],
        annotation_id=np.arange(5) + 1,
        shape=[int(s) for s in shapes],
        crowd=[False, False, False, False, True],
    )


def test_shapes_with_an_area_are_learnt_as_boxes() -> None:
    assert dataset.learnable(labelled()).annotation_id.tolist() == [1, 2]
    assert len(dataset.learnable(Annotations())) == 0


def test_objects_are_counted_by_picture_and_label(tmp_path: Path) -> None:
    found = gathered(tmp_path, [None, encoded(), encoded("PNG")])
    assert dataset.objects(labelled(), found, 2).tolist() == [[3, 0], [0, 0]]
    assert dataset.objects(Annotations(), found, 2).tolist() == [[0, 0], [0, 0]]


def plan_of(*fold: int, labels: tuple[int, ...] = (0, 1)) -> Plan:
    n = len(fold)
    return Plan(np.array(fold), np.arange(n), np.ones(n, bool), labels, ())


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    found = gathered(tmp_path, [encoded(), encoded("PNG")])
    dataset.write(tmp_path, found, dataset.learnable(labelled()), plan_of(1, 0))
    assert (tmp_path / "labels" / "000001.txt").read_text() == "0 0.250000 0.250000 0.500000 0.500000\n"
    data = dataset.read(tmp_path)
    assert (data.folds, data.fold.tolist(), data.learnt.tolist()) == (2, [1, 0], [True, True])
    assert (data.to_learn(0).tolist(), data.held_out(0).tolist()) == ([0], [1])
    (example,) = data.examples([0])
    assert (example.label.tolist(), example.size_hw) == ([1], HW)
    assert np.allclose(example.xywh, [[(10 + 60) / 2 / 60, 0.5, 50 / 60, 0.5]], atol=1e-6)  # cut off at the picture
    (item,) = data.items(np.array([1]))
    assert (item.name, item.number, item.size_hw, item.data) == ("1.jpg", 1, (0, 0), encoded("PNG"))


def test_labels_that_are_not_learnt_are_not_written_and_codes_close_up(tmp_path: Path) -> None:
    found = gathered(tmp_path, [encoded(), encoded("PNG")])
    dataset.write(tmp_path, found, dataset.learnable(labelled()), plan_of(0, 1, labels=(1,)))
    assert (tmp_path / "labels" / "000000.txt").read_text().startswith("0 ")
    assert (tmp_path / "labels" / "000001.txt").read_text() == ""
    assert dataset.read(tmp_path).examples([1])[0].xywh.shape == (0, 4)


def test_frames_of_one_picture_are_known(tmp_path: Path) -> None:
    found = gathered(tmp_path, [encoded()] * 3)
    twice = dataset.Pictures(found.frames.replace(name=["a", "b", "a"]), found.row, found.files, found.hashes, ())
    dataset.write(tmp_path, twice, Annotations(), plan_of(0, 1, 0))
    assert dataset.read(tmp_path).first_of_picture().tolist() == [True, True, False]


def test_a_picture_that_is_gone_is_told(tmp_path: Path) -> None:
    found = gathered(tmp_path, [encoded(), encoded("PNG")])
    dataset.write(tmp_path, found, Annotations(), plan_of(0, 1))
    (tmp_path / "in" / "1.jpg").unlink()
    data = dataset.read(tmp_path)
    with pytest.raises(UsageError, match=r"000001\.png is gone.*--restart"):
        data.examples([1])
    with pytest.raises(UsageError, match="cannot be read"):
        list(data.items(np.array([1])))


@pytest.mark.parametrize("text", ["", "picture,fold\n1,2\n", "\x00"])
def test_a_broken_table_of_folds_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(UsageError, match=r"folds\.csv cannot be read"):
        dataset.read(tmp_path)
