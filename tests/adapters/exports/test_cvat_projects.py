"""Projects as CVAT 2.54 exports them: several tasks in one document, counted on within a subset."""

from __future__ import annotations

from pathlib import Path

from audit.adapters.exports.corrected_xml import XmlCopy
from audit.core.corrections import Action, Correction
from audit.core.proposals import Proposal

from .conftest import Silent, picture, write_folder
from .samples import box, segment

META = """<meta><project><id>3</id><tasks>{tasks}</tasks><labels><label><name>car</name></label></labels></project>
</meta>"""
TASK = """<task><id>{id}</id><size>{size}</size><mode>{mode}</mode><subset>{subset}</subset>
<start_frame>{start}</start_frame><frame_filter></frame_filter><segments>{segments}</segments></task>"""


def task(ident: int, subset: str, size: int, start: int = 0, mode: str = "annotation") -> str:
    segments = segment(ident * 10, 0, size - 1)
    return TASK.format(id=ident, size=size, subset=subset, start=start, mode=mode, segments=segments)


def project(body: str, *tasks: str) -> str:
    return f"<annotations><version>1.1</version>{META.format(tasks=''.join(tasks))}{body}</annotations>"


def image(number: int, name: str, ident: int, subset: str, shapes: str = "") -> str:
    facts = f'id="{number}" name="{name}" subset="{subset}" task_id="{ident}"'
    return f'<image {facts} width="40" height="30">{shapes}</image>'


def track(ident: int, subset: str, *frames: int) -> str:
    at = 'outside="0" keyframe="1" xtl="1" ytl="2" xbr="9" ybr="9"'
    gone = f'<box frame="{frames[-1] + 1}" outside="1" keyframe="1" xtl="1" ytl="2" xbr="9" ybr="9"></box>'
    shapes = "".join(f'<box frame="{f}" {at}></box>' for f in frames) + gone
    return f'<track id="{ident}" label="car" task_id="{ident}" subset="{subset}">{shapes}</track>'


IMAGES = project(
    image(0, "a.png", 5, "Test")
    + image(0, "a.png", 6, "Train")
    + image(2, "a_1.png", 7, "Train", box(1, 2, 9, 9))
    + image(3, "b.png", 7, "Train"),
    task(5, "Test", 1),
    task(6, "Train", 2),
    task(7, "Train", 2),
)


def test_images_have_their_number_in_their_task_and_so_their_job_and_link(read):
    snapshot = read({"annotations.xml": IMAGES})
    assert snapshot.frames.number.tolist() == [0, 0, 0, 1]
    assert snapshot.frames.task.tolist() == [5, 6, 7, 7] and snapshot.frames.job.tolist() == [50, 60, 70, 70]
    assert snapshot.annotations.frame.tolist() == [2] and snapshot.problems == ()


def test_a_document_that_does_not_count_on_is_read_as_it_stands(read):
    body = image(0, "a.png", 6, "Train") + image(0, "b.png", 7, "Train") + image(1, "c.png", 7, "Train")
    snapshot = read({"annotations.xml": project(body, task(6, "Train", 2), task(7, "Train", 2))})
    assert snapshot.frames.number.tolist() == [0, 0, 1]


def test_a_corrected_copy_finds_the_images_of_later_tasks(read):
    snapshot = read({"annotations.xml": IMAGES})
    copy = XmlCopy(IMAGES.encode(), "x", snapshot)
    place = Proposal((3.0, 4.0, 8.0, 9.0))
    copy.create(Correction(Action.CREATE, (), 3, label="car", geometry=place))
    assert b'id="3" name="b.png"' in copy.written() and b'xtl="3.00"' in copy.written().split(b'name="b.png"')[1]


def test_tracks_of_every_task_are_kept_though_frames_are_counted_on(read):
    body = track(6, "Train", 3, 4) + track(7, "Train", 11, 12)
    tasks = (task(6, "Train", 5, start=1, mode="interpolation"), task(7, "Train", 9, start=1, mode="interpolation"))
    snapshot = read({"annotations.xml": project(body, *tasks)})
    assert snapshot.problems == () and len(snapshot.frames) == 14
    numbers = snapshot.frames.number[snapshot.annotations.frame]
    assert numbers.tolist() == [3, 4, 5, 6]
    assert snapshot.frames.task[snapshot.annotations.frame].tolist() == [6, 6, 7, 7]


def test_frames_of_two_videos_have_their_own_images(opened, tmp_path):
    tasks = (task(6, "Train", 2, mode="interpolation"), task(7, "Train", 2, mode="interpolation"))
    images = {f"images/Train/frame_{n:06d}.PNG": picture(10 + n) for n in range(4)}
    store, snapshot = read_folder(opened, tmp_path, project(track(6, "Train", 0), *tasks), images)
    assert [i.data for i in store.images(snapshot, [0, 1, 2, 3])] == [picture(10 + n) for n in range(4)]


def test_images_of_two_subsets_are_not_mixed(opened, tmp_path):
    """Photos in the format for videos, which names no frame."""
    tasks = (task(5, "Test", 2), task(6, "Train", 1))
    names = ("images/Test/a.png", "images/Test/deep/b.png", "images/Train/a.png")
    images = {name: picture(10 + i) for i, name in enumerate(names)}
    store, snapshot = read_folder(opened, tmp_path, project(track(5, "Test", 0), *tasks), images)
    assert snapshot.frames.name.tolist() == ["a.png", "deep/b.png", "a.png"]
    assert [i.data for i in store.images(snapshot, [0, 1, 2])] == [picture(10 + i) for i in range(3)]


def test_images_of_two_tasks_that_share_a_subset_cannot_be_told_apart_and_it_is_said_once(opened, tmp_path):
    images = {f"images/Train/{n}.png": picture() for n in "abc"}
    _, snapshot = read_folder(
        opened, tmp_path, project(track(6, "Train", 0), task(6, "Train", 1), task(7, "Train", 1)), images
    )
    assert ["3 images for 1" in note for note in snapshot.notes] == [True]
    assert snapshot.frames.name.tolist() == ["frame_000000", "frame_000001"]


def read_folder(opened, folder: Path, xml: str, images: dict[str, bytes]):
    store = opened(write_folder(folder / "e", {"annotations.xml": xml} | images))
    return store, store.snapshot(Silent())


def test_a_subset_without_images_does_not_get_those_of_another(opened, tmp_path):
    tasks = (task(5, "Test", 1), task(6, "Train", 1))
    _, snapshot = read_folder(opened, tmp_path, project(track(5, "Test", 0), *tasks), {"images/Train/a.png": picture()})
    assert snapshot.frames.name.tolist() == ["frame_000000", "a.png"]
