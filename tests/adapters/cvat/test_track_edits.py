"""Tracks as CVAT's JSON: one box for a stretch, an end cut off, another label."""

from __future__ import annotations

from typing import Any

import pytest

from audit.adapters.cvat.edits import LabelSpec, same
from audit.adapters.cvat.track_edits import changed_track, drawn_track
from audit.adapters.cvat.tracks import Keyframes
from audit.core.annotations import ShapeType
from audit.core.corrections import Action, Correction
from audit.core.proposals import Proposal
from audit.core.track_corrections import KeyBox, TrackEdit
from audit.push_ports import Place, Unfit, without_key_ids

LABELS = {
    "car": LabelSpec(5, "any", ((7, "red"), (8, "no")), mutable=frozenset({8})),
    "bus": LabelSpec(6, "any", ((9, "blue"), (10, "yes")), mutable=frozenset({10})),
    "lane": LabelSpec(4, "polyline", ()),
}
HERE = Place(job=1, number=0, size_hw=(100, 200))
BOX = Proposal((50.0, 10.0, 60.0, 20.0))


def key(frame: int, left: float, **more: Any) -> dict[str, Any]:
    return {
        "id": 900 + frame, "type": "rectangle", "frame": frame, "points": [left, 0.0, left + 10, 10.0],
        "rotation": 0.0, "occluded": False, "outside": False, "z_order": 1,
        "attributes": [{"spec_id": 8, "value": "no"}], **more,
    }  # fmt: skip


def track(*keys: dict[str, Any]) -> dict[str, Any]:
    """A car that goes right by one pixel a frame, but lies 30 px off at frame 30."""
    shapes = list(keys) or [key(0, 0), key(20, 20), key(30, 60), key(40, 40), key(60, 60, outside=True)]
    attributes = [{"spec_id": 7, "value": "green"}]
    return {"id": 3, "label_id": 5, "frame": 0, "group": 0, "source": "manual", "attributes": attributes,
            "shapes": shapes, "elements": []}  # fmt: skip


def changed(stored: dict[str, Any], *edits: TrackEdit, label: str = "") -> dict[str, Any]:
    correction = Correction(
        Action.RELABEL, ("f",), 0, annotation_id=3, label=label, shape=ShapeType.RECTANGLE, track=True, edits=edits
    )
    return changed_track(stored, correction, HERE, LABELS)


def frames(made: dict[str, Any]) -> list[int]:
    return [shape["frame"] for shape in made["shapes"]]


def test_the_wrong_key_frame_of_a_stretch_gives_way_to_one_box() -> None:
    stored = track()
    made = changed(stored, TrackEdit(24, 36, 32, Proposal((32.0, 0.0, 42.0, 10.0))))
    assert frames(made) == [0, 20, 32, 40, 60]
    assert all("id" not in shape for shape in made["shapes"])
    along = Keyframes(made)
    assert all(along.at(n)["points"][0] == pytest.approx(n) for n in range(60))
    assert [s["id"] for s in stored["shapes"]] == [900, 920, 930, 940, 960], "what is stored stays as it is"
    assert {k: v for k, v in made.items() if k != "shapes"} == {k: v for k, v in stored.items() if k != "shapes"}


def test_where_no_key_frame_is_one_is_added() -> None:
    made = changed(track(), TrackEdit(5, 15, 11, BOX))
    assert frames(made) == [0, 11, 20, 30, 40, 60]
    assert made["shapes"][1]["points"] == [50, 10, 60, 20]
    assert made["shapes"][1]["z_order"] == 1


def test_a_track_that_stays_where_it_is_does_so_around_the_stretch() -> None:
    still = track(key(0, 0), key(20, 20))
    made = changed(still, TrackEdit(50, 60, 55, BOX, resume=61))
    assert frames(made) == [0, 20, 49, 55, 61]
    along = Keyframes(made)
    assert [along.at(n)["points"][0] for n in (30, 49, 55, 61, 900)] == [20, 20, 50, 20, 20]
    assert frames(changed(still, TrackEdit(50, 60, 55, BOX))) == [0, 20, 49, 55], "it ends with the stretch"
    assert frames(changed(still, TrackEdit(21, 60, 21, BOX, resume=61))) == [0, 20, 21, 61]
    again = changed(made, TrackEdit(50, 60, 55, BOX, resume=61))
    assert again["shapes"] == made["shapes"], "a second push changes nothing"


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (TrackEdit(0, 5, 3, BOX), "begins or ends"),
        (TrackEdit(61, 70, 65, BOX), "does not show on frame 65"),
        (TrackEdit(15, 45, 25, BOX), "3 keyframes"),
    ],
)
def test_what_one_box_cannot_mend_is_left_to_people(edit: TrackEdit, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        changed(track(), edit)


def test_a_key_frame_that_also_changes_something_else_stays() -> None:
    other = track(key(0, 0), key(10, 10, occluded=True), key(20, 20))
    with pytest.raises(Unfit, match="also changes an attribute"):
        changed(other, TrackEdit(5, 15, 7, BOX))


def test_a_turned_key_frame_is_not_replaced_by_an_upright_box() -> None:
    turned = track(key(0, 0), key(10, 10, rotation=30.0), key(20, 20))
    with pytest.raises(Unfit, match="is turned"):
        changed(turned, TrackEdit(5, 15, 7, BOX))


def test_the_ends_of_a_track_are_cut_off_where_it_shows_nothing() -> None:
    made = changed(track(), TrackEdit(35, 59))
    assert [(s["frame"], s["outside"]) for s in made["shapes"][-2:]] == [(30, False), (35, True)]
    assert made["shapes"][-1]["points"][0] == 50
    made = changed(track(), TrackEdit(0, 24, at=25))
    assert (made["frame"], frames(made)) == (25, [25, 30, 40, 60])
    assert made["shapes"][0]["points"][0] == 40


def test_several_edits_and_a_label_go_together() -> None:
    made = changed(track(), TrackEdit(5, 15, 11, BOX), TrackEdit(50, 59), label="bus")
    assert frames(made) == [0, 11, 20, 30, 40, 50]
    assert made["label_id"] == 6
    assert made["attributes"] == [{"spec_id": 9, "value": "blue"}]
    assert all(s["attributes"] == [{"spec_id": 10, "value": "yes"}] for s in made["shapes"])
    assert changed(track(), label="car")["attributes"] == [{"spec_id": 7, "value": "green"}]
    with pytest.raises(Unfit, match="polyline"):
        changed(track(), label="lane")


def test_a_new_track_ends_where_its_object_does() -> None:
    keys = (KeyBox(4, BOX), KeyBox(9, BOX), KeyBox(10, None))
    made = drawn_track(Correction(Action.CREATE, ("f",), 0, label="car", track=True, keys=keys), HERE, LABELS)
    assert [(s["frame"], s["outside"], s["points"]) for s in made["shapes"]] == [
        (4, False, [50, 10, 60, 20]), (9, False, [50, 10, 60, 20]), (10, True, [50, 10, 60, 20]),
    ]  # fmt: skip
    assert (made["frame"], made["label_id"], made["source"]) == (4, 5, "auto")
    stored = {**made, "id": 12, "shapes": [{**s, "id": i, "new": 1} for i, s in enumerate(made["shapes"])]}
    assert same(stored, made)
    assert not same({**stored, "shapes": stored["shapes"][:2]}, made)
    moved = [{**stored["shapes"][0], "points": [1, 1, 2, 2]}, *stored["shapes"][1:]]
    assert not same({**stored, "shapes": moved}, made)


def test_a_skeletons_keyframes_may_be_numbered_anew() -> None:
    def skeleton(first: int, left: float = 1.0) -> dict[str, Any]:
        point = {"id": 50, "label_id": 11, "frame": 0, "shapes": [{**key(0, left), "id": first}], "elements": []}
        return {**track(), "elements": [point]}

    assert same(skeleton(700), skeleton(900))
    assert not same(skeleton(700), skeleton(900, left=2.0))
    bare = without_key_ids(skeleton(700))
    assert bare == without_key_ids(skeleton(900))
    assert (bare["id"], bare["elements"][0]["id"]) == (3, 50)
