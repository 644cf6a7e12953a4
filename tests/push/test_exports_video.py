"""Corrected copies of CVAT for video: tracks changed as on a server, all else as it was, element for element."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from defusedxml import ElementTree

from audit.adapters.cvat.track_edits import changed_track
from audit.adapters.cvat.tracks import Keyframes
from audit.adapters.exports import open_store
from audit.adapters.exports.corrected_video import VideoCopy
from audit.adapters.pictures import ImageCache
from audit.cli.push import push
from audit.core.annotations import Predictions, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.findings import FindingType
from audit.core.proposals import Proposal
from audit.core.track_corrections import TrackEdit
from audit.push_ports import OF_A_TRACK, Place, Unfit
from audit.runs import write_table
from tests.push.place import LABELS, Audited, Quiet

T = FindingType
FRAMES = 30
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>3</id><name>film</name><size>{frames}</size><mode>interpolation</mode><start_frame>{start}</start_frame>
  {more}<labels><label><name>person</name></label><label><name>thing</name></label><label><name>body</name></label></labels>
  <segments><segment><id>5</id><start>0</start><stop>29</stop><url>http://cvat.test/api/jobs/5</url></segment></segments>
  <original_size><width>640</width><height>480</height></original_size></task></meta>
"""
KEYS = {0: [10.0, 10, 50, 60], 10: [60.0, 10, 100, 60], 20: [160.0, 10, 200, 60]}
MOVED = [300.0, 300.0, 340.0, 350.0]


def dense(ident: int, keys: dict[int, list[float]], *, until: int = FRAMES, start: int = 0, step: int = 1) -> str:
    """A track as CVAT writes it: a box on every frame until it is hidden. keys: by frame, from 0."""
    told = Keyframes({"shapes": [{"type": "rectangle", "frame": n, "points": p} for n, p in keys.items()]})
    lines = [f'  <track id="{ident}" label="person" source="file">\n']
    for n in range(min(keys), min(until + 1, FRAMES)):
        shape = told.at(n)
        assert shape is not None
        place = " ".join(f'{k}="{v:.2f}"' for k, v in zip(("xtl", "ytl", "xbr", "ybr"), shape["points"], strict=True))
        state = f'keyframe="{int(n in keys or n == until)}" outside="{int(n == until)}" occluded="0"'
        inner = '\n      <attribute name="pose">sits</attribute>\n    '
        lines.append(f'    <box frame="{start + n * step}" {state} {place} z_order="2">{inner}</box>\n')
    return "".join([*lines, "  </track>\n"])


def film(*tracks: str, start: int = 0, step: int = 1) -> str:
    more = f"<frame_filter>step={step}</frame_filter>" if step > 1 else ""
    return HEAD.format(frames=FRAMES, start=start, more=more) + "".join(tracks) + "</annotations>\n"


def read(path: Path, folder: Path) -> Snapshot:
    store = open_store(path, cache=ImageCache(folder / "cache"))
    try:
        return store.snapshot(Quiet())
    finally:
        store.close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def audited(tmp_path: Path, *tracks: str, **more: int) -> Audited:
    source = tmp_path / "annotations.xml"
    source.write_text(film(*tracks, **more), encoding="utf-8")
    place: Any = None
    return Audited(place, tmp_path / "run", read(source, tmp_path), [], [])


def pushed(run: Audited, expected: int = 0) -> Any:
    """The corrected document; checks that the export itself is as it was."""
    source = Path(run.snapshot.source)
    before = source.read_bytes()
    done = CliRunner().invoke(push, [str(run.path), "--as", "fixes", "--yes"])
    assert done.exit_code == expected, (done.output, done.exception)
    assert source.read_bytes() == before
    return ElementTree.fromstring((run.path / "corrected.xml").read_bytes())


def elements(track: Any) -> list[str]:
    return [ElementTree.tostring(e).decode().strip() for e in track]


def boxes(snapshot: Snapshot, ident: int) -> dict[int, list[float]]:
    a = snapshot.annotations
    rows = np.flatnonzero(a.annotation_id == ident)
    numbers = snapshot.frames.number[a.frame[rows]].tolist()
    return dict(zip(numbers, a.xyxy[rows].round(2).tolist(), strict=True))


def test_nothing_accepted_is_the_same_document(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS), dense(5, {3: KEYS[0]}, until=8))
    run.write()
    root = pushed(run)
    source = ElementTree.fromstring(Path(run.snapshot.source).read_bytes())
    assert ElementTree.tostring(root) == ElementTree.tostring(source)


def test_another_name_is_given_to_the_track_and_takes_its_attributes(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS), dense(5, KEYS))
    run.finding(T.MISMATCHING_LABEL, 4, suggested_label=1, frames=30, first_frame=0, last_frame=29)
    run.accept_all()
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).findall("track")
    renamed, other = pushed(run).findall("track")
    assert (renamed.get("label"), renamed.get("id"), renamed.get("source")) == ("thing", "4", "file")
    assert not renamed.findall("box/attribute")
    assert [e.attrib for e in renamed] == [e.attrib for e in before[0]]
    assert elements(other) == elements(before[1])


def test_a_track_on_nothing_is_deleted_and_the_others_stay(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS), dense(5, KEYS))
    run.finding(T.EXTRA_ANNOTATION, 4, frames=30, first_frame=0, last_frame=29)
    run.accept_all()
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).findall("track")
    (left,) = pushed(run).findall("track")
    assert left.get("id") == "5"
    assert elements(left) == elements(before[1])


@pytest.mark.parametrize(("start", "step"), [(0, 1), (100, 3)])
def test_a_stretch_gets_one_key_frame_and_what_lies_between_follows(tmp_path: Path, start: int, step: int) -> None:
    run = audited(tmp_path, dense(4, KEYS, start=start, step=step), start=start, step=step)
    run.finding(T.LOW_OVERLAP, 4, suggested_label=0, suggested_xyxy=MOVED, frames=5, first_frame=8, last_frame=12)
    run.rows[0] |= {"frame": 11, "annotation": 11}
    run.accept_all()
    assert (
        f"box {MOVED} on frame {start + step * 11}" in CliRunner().invoke(push, [str(run.path), "--as", "fixes"]).stdout
    )
    before = elements(ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).find("track"))
    track = pushed(run).find("track")
    after = read(run.path / "corrected.xml", tmp_path)
    keys = {0: KEYS[0], 11: MOVED, 20: KEYS[20]}
    told = Keyframes({"shapes": [{"type": "rectangle", "frame": n, "points": p} for n, p in keys.items()]})
    found = boxes(after, 4)
    assert list(found) == [start + step * n for n in range(FRAMES)]
    for n in range(FRAMES):
        assert found[start + step * n] == pytest.approx(told.at(n)["points"], abs=0.011)  # type: ignore[index]
    assert [int(e.get("frame")) for e in track if e.get("keyframe") == "1"] == [start + step * n for n in keys]
    assert elements(track)[0] == before[0]
    assert elements(track)[20:] == before[20:]
    assert {e.find("attribute").text for e in track} == {"sits"}
    assert {e.get("z_order") for e in track} == {"2"}


def test_an_end_and_a_beginning_without_object_are_cut_off(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS), dense(5, KEYS))
    run.finding(T.EXTRA_ANNOTATION, 4, frames=5, first_frame=25, last_frame=29)
    run.finding(T.EXTRA_ANNOTATION, 5, frames=5, first_frame=0, last_frame=4)
    run.accept_all()
    said = CliRunner().invoke(push, [str(run.path), "--as", "fixes"]).stdout
    assert f"{OF_A_TRACK}; hidden from frame 25 on" in said and f"{OF_A_TRACK}; begins on frame 5" in said
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).findall("track")
    end, beginning = pushed(run).findall("track")
    after = read(run.path / "corrected.xml", tmp_path)
    assert list(boxes(after, 4)) == list(range(25))
    assert list(boxes(after, 5)) == list(range(5, 30))
    assert elements(end)[:25] == elements(before[0])[:25]
    assert (end[25].get("outside"), end[25].get("keyframe"), len(end)) == ("1", "1", 26)
    assert beginning[0].get("keyframe") == "1"
    assert elements(beginning)[1:] == elements(before[1])[6:]
    assert boxes(after, 5) == {n: b for n, b in boxes(run.snapshot, 5).items() if n >= 5}


def test_a_missed_object_becomes_a_track(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS))
    run.finding(T.MISSING_ANNOTATION, frame=6, suggested_label=1, suggested_xyxy=MOVED, frames=9,
                first_frame=4, last_frame=12)  # fmt: skip
    run.accept_all()
    at = np.arange(4, 13)
    seen = Predictions(xyxy=np.array(MOVED) + (at - 6)[:, None], frame=at, label=[1] * 9, score=[0.9] * 9)
    write_table(run.path / "predictions.parquet", seen, LABELS)
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).find("track")
    old, new = pushed(run).findall("track")
    assert elements(old) == elements(before)
    assert (new.get("id"), new.get("label"), new.get("source")) == ("5", "thing", "auto")
    found = boxes(read(run.path / "corrected.xml", tmp_path), 5)
    assert list(found) == at.tolist()
    for n, box in found.items():
        assert box == pytest.approx([v + n - 6 for v in MOVED], abs=2.1)


@pytest.mark.parametrize("frame", [6, 29])
def test_an_object_missed_on_one_frame_is_a_track_of_one_frame(tmp_path: Path, frame: int) -> None:
    run = audited(tmp_path)
    run.finding(T.MISSING_ANNOTATION, frame=frame, suggested_label=1, suggested_xyxy=MOVED)
    run.accept_all()
    pushed(run)
    assert boxes(read(run.path / "corrected.xml", tmp_path), 0) == {frame: MOVED}


def test_a_track_that_was_changed_since_is_left_alone(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS))
    run.finding(T.EXTRA_ANNOTATION, 4, frames=30, first_frame=0, last_frame=29)
    run.accept_all()
    source = Path(run.snapshot.source)
    source.write_text(source.read_text().replace('xtl="160.00"', 'xtl="161.00"', 1))
    assert len(pushed(run, expected=1).findall("track")) == 1


def test_what_was_not_audited_is_not_taken_away(tmp_path: Path) -> None:
    run = audited(tmp_path, dense(4, KEYS))
    a, f = run.snapshot.annotations, run.snapshot.frames
    run.snapshot = replace(run.snapshot, frames=f[:20], annotations=a[a.frame < 20])
    run.finding(T.EXTRA_ANNOTATION, 4, frames=20, first_frame=0, last_frame=19)
    copy = VideoCopy(Path(run.snapshot.source).read_bytes(), "x", run.snapshot)
    with pytest.raises(Unfit, match=r"track 4 also shows on 10 frames \(20 to 29\), which were not audited"):
        copy.change(Correction(Action.DELETE, ("f",), 0, annotation_id=4, track=True))
    copy.change(Correction(Action.RELABEL, ("f",), 0, annotation_id=4, label="thing", track=True))
    assert ElementTree.fromstring(copy.written()).find("track").get("label") == "thing"


def test_other_shapes_than_boxes_are_not_moved(tmp_path: Path) -> None:
    points = 'points="1.00,1.00;9.00,1.00;9.00,9.00"'
    shapes = "".join(
        f'<polygon frame="{n}" keyframe="1" outside="0" occluded="0" {points}></polygon>' for n in range(FRAMES)
    )
    run = audited(tmp_path, f'<track id="4" label="person" source="file">{shapes}</track>')
    run.finding(T.EXTRA_ANNOTATION, 4, frames=5, first_frame=25, last_frame=29)
    run.accept_all()
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).find("track")
    assert elements(pushed(run, expected=1).find("track")) == elements(before)


@pytest.mark.parametrize("broken", ['xtl="nan"', 'xtl="a"', 'rotation="a" xtl="1"', ""])
def test_a_track_with_a_place_that_is_no_number_is_left_as_it_is(tmp_path: Path, broken: str) -> None:
    run = audited(tmp_path, dense(4, KEYS).replace('xtl="15.00"', broken))
    run.finding(T.EXTRA_ANNOTATION, 4, frames=5, first_frame=25, last_frame=29)
    run.accept_all()
    before = ElementTree.fromstring(Path(run.snapshot.source).read_bytes()).find("track")
    assert elements(pushed(run, expected=1).find("track")) == elements(before)
    assert (
        "a coordinate or rotation that is no number"
        in CliRunner().invoke(push, [str(run.path), "--as", "fixes"]).stdout
    )


def hidden(rng: np.random.Generator) -> tuple[str, Keyframes]:
    """A track with random keyframes, some of which hide it, as CVAT writes it; and these keyframes."""
    at = np.sort(rng.choice(FRAMES, int(rng.integers(2, 7)), replace=False)).tolist()
    keys = []
    for place, n in enumerate(at):
        x, y = rng.integers(0, 500, 2).tolist()
        out = place > 0 and rng.random() < 0.25
        points = keys[-1]["points"] if out else [float(x), float(y), x + 40.0, y + 50.0]
        keys.append({"type": "rectangle", "frame": n, "points": points, "outside": out})
    told = Keyframes({"shapes": keys})
    lines = []
    for n in range(at[0], FRAMES):
        shape = told.at(n)
        assert shape is not None
        if shape["outside"] and n not in at:
            continue
        corners = zip(("xtl", "ytl", "xbr", "ybr"), shape["points"], strict=True)
        place = " ".join(f'{name}="{value:.2f}"' for name, value in corners)
        state = f'keyframe="{int(n in at)}" outside="{int(shape["outside"])}" occluded="0"'
        lines.append(f'<box frame="{n}" {state} {place} z_order="0"></box>')
    return f'<track id="4" label="person" source="file">{"".join(lines)}</track>', told


def shown(keys: Keyframes) -> dict[int, list[float]]:
    there = ((n, keys.at(n)) for n in range(FRAMES))
    return {n: list(shape["points"]) for n, shape in there if shape is not None and not shape["outside"]}


def any_edit(rng: np.random.Generator, numbers: list[int]) -> TrackEdit:
    first = int(rng.choice(numbers))
    last = int(rng.choice([n for n in numbers if n >= first]))
    if rng.random() < 0.4:
        return TrackEdit(first, numbers[-1])
    if rng.random() < 0.4 and last < numbers[-1]:
        return TrackEdit(numbers[0], last, at=min(n for n in numbers if n > last))
    at = int(rng.choice([n for n in numbers if first <= n <= last]))
    resume = min((n for n in numbers if n > last), default=-1)
    return TrackEdit(first, last, at, Proposal(xyxy=(300.0, 300.0, 340.0, 350.0)), resume)


@pytest.mark.parametrize("seed", range(40))
def test_a_copy_reads_back_as_the_server_would_hold_it(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    track, keys = hidden(rng)
    run = audited(tmp_path, track)
    numbers = sorted(shown(keys))
    assert {n: pytest.approx(b, abs=0.011) for n, b in shown(keys).items()} == boxes(run.snapshot, 4)
    c = Correction(Action.UPDATE, ("f",), 0, annotation_id=4, track=True, edits=(any_edit(rng, numbers),))
    copy = VideoCopy(Path(run.snapshot.source).read_bytes(), "x", run.snapshot)
    before = copy.written()
    stored = [dict(shape) for n in range(FRAMES) if (shape := keys.at(n)) is not None and shape["frame"] == n]
    try:
        wanted = changed_track({"shapes": stored, "label_id": 1}, c, Place(1, 0, (480, 640)), {})
    except Unfit:
        with pytest.raises(Unfit):
            copy.change(c)
        assert copy.written() == before
        return
    copy.change(c)
    out = tmp_path / "copy" / "annotations.xml"
    out.parent.mkdir()
    out.write_bytes(copy.written())
    found = boxes(read(out, tmp_path), 4)
    assert found == {n: pytest.approx(b, abs=0.011) for n, b in shown(Keyframes(wanted)).items()}
    told = [
        int(e.get("frame")) for e in ElementTree.fromstring(copy.written()).find("track") if e.get("keyframe") == "1"
    ]
    assert told == [int(key["frame"]) for key in wanted["shapes"]]
