from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from audit.ports import FrameImage

from .conftest import Silent, picture, write_folder, write_zip
from .samples import cvat_xml, image


def export(*names: str) -> str:
    return cvat_xml("".join(image(i, name=n) for i, n in enumerate(names)))


def test_annotations_only_has_no_images(opened, stored):
    store = opened(stored({"annotations.xml": export("a.png")}))
    assert not store.has_images()
    (item,) = store.images(store.snapshot(Silent()), [0])
    assert "was not found" in item.reason


def test_no_frames_asked_gives_nothing(opened, stored):
    store = opened(stored({"annotations.xml": export("a.png"), "images/a.png": picture()}))
    assert list(store.images(store.snapshot(Silent()), [])) == []


def test_bytes_digest_and_a_lasting_file(opened, stored):
    store = opened(stored({"annotations.xml": export("a.png", "b.png"), "images/a.png": picture(7, 5)}))
    assert store.has_images()
    found, missing = store.images(store.snapshot(Silent()), [0, 1])
    store.close()
    assert found.data == picture(7, 5) == found.path.read_bytes() and found.path.is_absolute()
    assert found.sha256 == hashlib.sha256(found.data).hexdigest()
    assert missing.frame == 1 and "was not found" in missing.reason


def test_a_folders_own_file_is_used_in_place(opened, tmp_path):
    root = write_folder(tmp_path / "e", {"annotations.xml": export("a.png"), "images/a.png": picture()})
    store = opened(root)
    (item,) = store.images(store.snapshot(Silent()), [0])
    assert item.path == root / "images" / "a.png" and not (tmp_path / "cache").exists()


def test_order_is_as_asked(opened, stored):
    names = [f"{i}.png" for i in range(4)]
    store = opened(
        stored({"annotations.xml": export(*names)} | {f"images/{n}": picture(9 + i) for i, n in enumerate(names)})
    )
    snapshot = store.snapshot(Silent())
    assert [item.frame for item in store.images(snapshot, [3, 0, 2])] == [3, 0, 2]


def test_base_names_do_where_only_one_file_has_it(opened, tmp_path):
    files = {"annotations.xml": export("day/a.png"), "elsewhere/deep/a.png": picture()}
    store = opened(write_folder(tmp_path / "e", files))
    (item,) = store.images(store.snapshot(Silent()), [0])
    assert item.data == picture()


def test_a_base_name_that_two_files_have_is_reported(opened, stored):
    files = {"annotations.xml": export("a.png"), "images/x/a.png": picture(4), "images/y/a.png": picture(5)}
    store = opened(stored(files))
    (item,) = store.images(store.snapshot(Silent()), [0])
    assert "2 image files are called 'a.png'" in item.reason


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "images/default/a.png", "sub/a.png"])
@pytest.mark.parametrize("as_zip", [False, True])
def test_images_elsewhere(opened, tmp_path, name, as_zip):
    root = write_folder(tmp_path / "e", {"annotations.xml": export(name)})
    place = {"a.png": picture()}
    other = write_zip(tmp_path / "pics.zip", place) if as_zip else write_folder(tmp_path / "pics", place)
    store = opened(root, images=other)
    assert store.has_images()
    assert [i.data for i in store.images(store.snapshot(Silent()), [0])] == [picture()]


def test_broken_pictures_are_the_decoders_matter(opened, stored):
    files = {
        "annotations.xml": export("a.png", "b.jpg"),
        "images/a.png": b"",
        "images/b.jpg": picture(kind="JPEG")[:99],
    }
    store = opened(stored(files))
    assert [item.data for item in store.images(store.snapshot(Silent()), [0, 1])] == [b"", picture(kind="JPEG")[:99]]


def test_the_annotation_file_alone_does_not_search_the_whole_folder(opened, tmp_path):
    files = {"home.xml": export("a.png", "b.png"), "unrelated/a.png": picture(), "images/b.png": picture()}
    store = opened(write_folder(tmp_path / "e", files) / "home.xml")
    first, second = store.images(store.snapshot(Silent()), [0, 1])
    assert "was not found" in first.reason and second.data == picture()


def test_the_names_of_all_images_are_kept_only_while_they_are_read(opened, tmp_path):
    files = {"annotations.xml": cvat_xml(image(0) + image(1)), "deep/0.png": picture(), "deep/1.png": picture()}
    store = opened(write_folder(tmp_path / "e", files))
    snapshot = store.snapshot(Silent())
    reading = store.images(snapshot, [0, 1])
    assert isinstance(next(reading), FrameImage)
    assert store._library._by_base_name is not None
    assert len(list(reading)) == 1
    assert store._library._by_base_name is None
    assert [isinstance(i, FrameImage) for i in store.images(snapshot, [1])] == [True]


def test_frames_of_a_video_are_listed_without_the_ending_that_their_files_have(opened, stored):
    """As CVAT for images writes them for a task that is a video."""
    files = {"annotations.xml": export("frame_000000", "frame_000001", "no.dots")}
    store = opened(stored(files | {"images/frame_000001.PNG": picture(7, 5), "elsewhere/no.dots.jpg": picture(8, 5)}))
    missing, found, apart = store.images(store.snapshot(Silent()), [0, 1, 2])
    assert "was not found" in missing.reason
    assert (found.data, apart.data) == (picture(7, 5), picture(8, 5))


def test_an_export_is_known_by_its_whole_path_from_whatever_folder_it_is_named(opened, tmp_path, monkeypatch):
    write_folder(tmp_path / "a" / "e", {"annotations.xml": export("a.png")})
    monkeypatch.chdir(tmp_path / "a")
    near = opened(Path("e")).snapshot(Silent())
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert near.source == opened(Path("../a/e/")).snapshot(Silent()).source == str(tmp_path / "a" / "e")
