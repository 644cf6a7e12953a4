"""An audit of some frames only does not know how tracks go on elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.annotations import Frames
from audit.core.correction import Action, Correction
from audit.core.proposals import Proposal
from audit.core.track_corrections import KeyBox, TrackEdit
from audit.push_ports import JobView, Shape
from audit.push_tracks import beyond, ended, unseen

BOX = Proposal((1.0, 1.0, 9.0, 9.0))


def job(last: int) -> JobView:
    return JobView(7, frozenset(range(last + 1)), "annotation", "new", "", "v")


def frames(*numbers: int) -> Frames:
    n = len(numbers)
    return Frames(
        name=np.array([str(i) for i in numbers], object), number=np.array(numbers, np.int64), width=np.full(n, 9),
        height=np.full(n, 9), task=np.full(n, 1), job=np.full(n, 7),
    )  # fmt: skip


def test_deleted_frames_in_between_are_not_beyond() -> None:
    assert beyond(Frames(), job(3)) == ()
    assert beyond(frames(0, 1, 3), job(3)) == ()
    assert beyond(frames(2, 4, 5), job(7)) == (0, 1, 6, 7)


def test_a_new_track_ends_where_the_audit_did() -> None:
    new = Correction(Action.CREATE, ("f",), 0, track=True, keys=(KeyBox(4, BOX), KeyBox(5, BOX)))
    assert ended(new, ()) == new
    assert ended(new, (0, 1)) == new
    assert ended(new, (0, 1, 7, 6)).keys == (*new.keys, KeyBox(6, None))
    hidden = Correction(Action.CREATE, ("f",), 0, track=True, keys=(*new.keys, KeyBox(6, None)))
    assert ended(hidden, (7,)) == hidden
    assert ended(Correction(Action.CREATE, ("f",), 0), (7,)).keys == ()


def test_a_box_for_a_stretch_holds_no_longer_than_the_audit() -> None:
    open_end, known, cut = TrackEdit(3, 5, 4, BOX), TrackEdit(3, 5, 4, BOX, resume=6), TrackEdit(3, 5)
    change = Correction(Action.UPDATE, ("f",), 0, annotation_id=3, track=True, edits=(open_end, known, cut))
    assert ended(change, ()) == change
    assert ended(change, (0, 9, 8)).edits == (TrackEdit(3, 5, 4, BOX, resume=8), known, cut)


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        ((TrackEdit(5, 6),), "also shows on 2 frames (7 to 8), which were not audited"),
        ((TrackEdit(3, 4, at=5),), "also shows on frame 2, which was not audited"),
        ((TrackEdit(3, 4, at=4, geometry=BOX),), ""),
        ((), ""),
    ],
)
def test_only_what_would_be_lost_counts(edits: tuple[TrackEdit, ...], found: str) -> None:
    def shown_on(_track: Shape, numbers: object) -> list[int]:
        return [n for n in numbers if n != 1]  # type: ignore[attr-defined]  # it is a list of numbers

    change = Correction(Action.UPDATE, ("f",), 0, annotation_id=3, track=True, edits=edits)
    why = unseen(change, {}, (1, 2, 7, 8), shown_on)
    assert why == (f"track 3 {found}" if found else "")
