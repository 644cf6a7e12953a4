"""What accepted findings ask for, case by case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.annotations import Annotations, Frames, ShapeType, Snapshot
from audit.core.correction import merged
from audit.core.corrections import Action, Correction, Plan, plan_corrections, plan_issues
from audit.core.decisions import Decision, Verdict
from audit.core.findings import MODEL_FREE, Findings, FindingType
from audit.core.masks import encode
from audit.core.proposals import Proposal, boxed, cut, outline, outlined, spot
from audit.core.table import objects

T, S = FindingType, ShapeType
HW = (100, 200)
BOX = [10.0, 20.0, 50.0, 60.0]
NEW = [12.0, 22.0, 55.004, 61.0]
NAN = [np.nan] * 4
EIGHT = np.array([[10.0, 20.0], [50.0, 60.0], [50.0, 20.0], [10.0, 60.0]])
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")


def snapshot(*shapes: dict[str, Any]) -> Snapshot:
    plain = {"xyxy": BOX, "shape": S.RECTANGLE, "points": None, "mask": None, "rotation": 0.0, "label": 0}
    rows = [{**plain, "track": False, "crowd": False, **shape} for shape in shapes]
    n = len(rows)
    columns: dict[str, Any] = {
        k: np.array([r[k] for r in rows]) for k in ("shape", "rotation", "track", "crowd", "label")
    }
    columns |= {k: objects(r[k] for r in rows) for k in ("points", "mask")}
    columns |= {"xyxy": np.array([r["xyxy"] for r in rows], float).reshape(-1, 4), "frame": np.zeros(n, int)}
    columns |= {"annotation_id": 100 + np.arange(n), "digest": objects(f"d{i}" for i in range(n))}
    annotations = Annotations(**columns) if n else Annotations()
    frames = Frames(name=objects(["a"]), number=[7], width=[HW[1]], height=[HW[0]], task=[1], job=[2])
    return Snapshot("cvat://x/tasks/1", ("car", "truck", "bus"), frames, annotations)


def finding(kind: FindingType, row: int = 0, label: int = 0, **facts: Any) -> dict[str, Any]:
    base = {"type": int(kind), "frame": 0, "score": 0.9, "annotation": row, "related": -1, "annotation_id": 100 + row}
    base |= {"label": label, "suggested_label": 1, "xyxy": BOX, "suggested_xyxy": NEW, "prediction_score": 0.75}
    if kind is T.MISSING_ANNOTATION:
        base |= {"annotation": -1, "annotation_id": -1, "label": -1, "xyxy": NAN}
    return {**base, **facts}


def planned(
    view: Snapshot, *rows: dict[str, Any], labels: dict[int, str] | None = None, masks: list[Any] | None = None
) -> Plan:
    names = ("type", "frame", "score", "annotation", "related", "annotation_id", "label", "suggested_label", "xyxy",
             "suggested_xyxy", "prediction_score")  # fmt: skip
    columns = {n: np.array([r[n] for r in rows]) for n in names}
    n = len(rows)
    found = Findings(id=objects(f"f{i}" for i in range(n)), reason=objects(["Why."] * n), **columns)
    said = {f"f{i}": Decision(f"f{i}", Verdict.ACCEPT, "r", "t", label=(labels or {}).get(i, "")) for i in range(n)}
    return plan_corrections(found, said, view, objects(masks) if masks else None)


def one(view: Snapshot, row: dict[str, Any], label: str = "", mask: Any = None) -> Correction:
    plan = planned(view, row, labels={0: label}, masks=[mask])
    assert plan.contradictions == ()
    (correction,) = plan.corrections
    assert correction.findings == ("f0",)
    return correction


def square() -> np.ndarray:
    mask = np.zeros(HW, np.uint8)
    mask[20:60, 10:50] = 1
    return mask


def near(ring: Any, corners: list[tuple[int, int]]) -> None:
    """These corners to half a pixel, with at most two more vertices where the outline was begun."""
    assert 4 <= len(ring) <= 6
    assert np.abs(np.array(ring)[:, None] - corners).max(axis=2).min(axis=0).max() <= 0.5


def test_nothing_gives_nothing() -> None:
    empty = Findings()
    assert plan_corrections(empty, {}, snapshot(), None) == Plan()
    assert plan_issues(empty, {}, snapshot()) == Plan()


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.UNSURE, Verdict.UNDONE])
def test_only_what_was_accepted_counts(verdict: Verdict) -> None:
    found = Findings(type=[3], frame=[0], score=[0.9], annotation=[0], annotation_id=[100], id=objects(["f0"]))
    said = {"f0": Decision("f0", verdict, "r", "t"), "other": Decision("other", Verdict.ACCEPT, "r", "t")}
    assert plan_corrections(found, said, snapshot({}), None) == Plan()
    assert plan_issues(found, said, snapshot({})) == Plan()


def test_a_missing_label_is_created_as_the_task_draws_that_label() -> None:
    view = snapshot({"label": 1, "shape": S.POLYGON}, {"label": 0, "shape": S.MASK}, {"label": 0, "shape": S.MASK})
    mask = encode(square())
    made = one(view, finding(T.MISSING_ANNOTATION), mask=mask)
    assert (made.action, made.label, made.shape, made.score) == (Action.CREATE, "truck", S.POLYGON, 0.75)
    assert made.geometry is not None
    near(made.geometry.ring, [(10, 20), (10, 60), (50, 20), (50, 60)])
    assert one(view, finding(T.MISSING_ANNOTATION, suggested_label=0), mask=mask).geometry == Proposal(
        (12.0, 22.0, 55.0, 61.0), mask=mask
    )
    # a label nobody drew yet is drawn as most of the task
    assert one(view, finding(T.MISSING_ANNOTATION, suggested_label=2), mask=mask).shape is S.MASK
    # a detector without masks can only give boxes
    assert one(view, finding(T.MISSING_ANNOTATION)).shape is S.RECTANGLE
    assert one(view, finding(T.MISSING_ANNOTATION), label="car", mask=mask).label == "car"


def test_what_is_created_is_cut_to_the_image() -> None:
    made = one(snapshot(), finding(T.MISSING_ANNOTATION, suggested_xyxy=[-4.0, 50.0, 30.0, 140.0]))
    assert made.geometry == Proposal((0.0, 50.0, 30.0, 100.0))
    outside = one(snapshot(), finding(T.MISSING_ANNOTATION, suggested_xyxy=[300.0, 50.0, 330.0, 60.0]))
    assert (outside.action, outside.position) == (Action.ISSUE, (0.0, 0.0, 200.0, 100.0))


@pytest.mark.parametrize(
    ("shape", "mask", "expected"),
    [
        (S.RECTANGLE, None, Action.UPDATE),
        (S.ELLIPSE, None, Action.UPDATE),
        (S.POLYGON, None, Action.ISSUE),
        (S.MASK, None, Action.ISSUE),
        (S.POLYGON, square(), Action.UPDATE),
        (S.MASK, square(), Action.UPDATE),
        (S.CUBOID, square(), Action.ISSUE),
        (S.SKELETON, square(), Action.ISSUE),
        (S.POLYLINE, None, Action.ISSUE),
    ],
)
def test_low_overlap_redraws_in_the_shapes_own_type(shape: ShapeType, mask: Any, expected: Action) -> None:
    counts = None if mask is None else encode(mask)
    done = one(snapshot({"shape": shape}), finding(T.LOW_OVERLAP, suggested_label=0), mask=counts)
    assert (done.action, done.annotation_id) == (expected, 100)
    if expected is Action.UPDATE:
        assert (done.digest, done.label, done.shape) == ("d0", "", shape)
        assert done.geometry is not None
        assert done.geometry.xyxy == (12.0, 22.0, 55.0, 61.0)
    else:
        assert done.why in done.text
        drawn = {S.POLYGON: "the model gives a box, no polygon", S.MASK: "the model gives a box, no mask"}
        assert done.why.startswith(drawn.get(shape, "the proposal has no"))


@pytest.mark.parametrize("kind", [T.LOW_OVERLAP, T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION])
def test_naming_a_shape_changes_nothing_but_its_name(kind: FindingType) -> None:
    done = one(snapshot({}), finding(kind), label="bus")
    assert (done.action, done.annotation_id, done.label, done.geometry) == (Action.RELABEL, 100, "bus", None)


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [(k, row) for k in MODEL_FREE for row in (-1, 0) if not (k is T.UNUSUAL_SHAPE and row < 0)],
)
def test_what_all_labels_tell_together_becomes_an_issue_that_says_what_to_do(
    kind: FindingType, annotation: int
) -> None:
    nowhere = {} if annotation >= 0 else {"label": -1, "suggested_label": -1, "xyxy": NAN, "suggested_xyxy": NAN}
    view, row = snapshot({"track": kind is T.BROKEN_TRACK}), finding(kind, annotation, **nowhere)
    for label in ("", "bus" if kind is not T.UNUSUAL_SHAPE else ""):
        done = one(view, row, label=label)
        assert (done.action, done.geometry, bool(done.why)) == (Action.ISSUE, None, True)
        assert done.text.startswith(kind.title) and f"Not fixed by itself: {done.why}." in done.text
        assert done.position == ((10, 20, 50, 60) if annotation >= 0 else (0, 0, 200, 100))
        assert "Suggested: " in done.text and "delete" not in done.text


def test_an_unusual_shape_can_be_given_another_name() -> None:
    done = one(snapshot({}), finding(T.UNUSUAL_SHAPE), label="bus")
    assert (done.action, done.label, done.geometry) == (Action.RELABEL, "bus", None)


def test_turned_shapes_are_not_redrawn() -> None:
    turned = one(snapshot({"rotation": 30.0}), finding(T.LOW_OVERLAP))
    assert (turned.action, "turned" in turned.text) == (Action.ISSUE, True)
    on_track = one(snapshot({"track": True, "rotation": 30.0}), finding(T.LOW_OVERLAP))
    assert (on_track.action, "turned" in on_track.text) == (Action.ISSUE, True)


def test_a_wrong_label_is_renamed_and_a_skeleton_is_not() -> None:
    done = one(snapshot({"rotation": 30.0}), finding(T.MISMATCHING_LABEL))
    assert (done.action, done.label, done.geometry) == (Action.RELABEL, "truck", None)
    assert "attributes" in done.text
    assert one(snapshot({}), finding(T.MISMATCHING_LABEL), label="bus").label == "bus"
    assert one(snapshot({"shape": S.SKELETON}), finding(T.MISMATCHING_LABEL)).action is Action.ISSUE


def test_extra_and_duplicate_delete_the_named_shape() -> None:
    extra = one(snapshot({}), finding(T.EXTRA_ANNOTATION))
    assert (extra.action, extra.annotation_id, extra.digest, extra.kept_id) == (Action.DELETE, 100, "d0", -1)
    twin = one(snapshot({}, {}), finding(T.DUPLICATE_ANNOTATION, row=1, related=0))
    assert (twin.action, twin.annotation_id, twin.kept_id, twin.kept_digest) == (Action.DELETE, 101, 100, "d0")
    assert one(snapshot({}), finding(T.EXTRA_ANNOTATION), label="bus").action is Action.RELABEL


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"xyxy": [50.0, 60.0, 10.0, 20.0]}, Proposal((10.0, 20.0, 50.0, 60.0))),
        ({"xyxy": [150.0, 20.0, 260.0, 60.0]}, Proposal((150.0, 20.0, 200.0, 60.0))),
        ({"xyxy": NAN}, Action.DELETE),
        ({"xyxy": [10.0, 20.0, 10.4, 60.0]}, Action.DELETE),
        ({"xyxy": [250.0, 20.0, 260.0, 60.0]}, Action.DELETE),
        ({"shape": S.MASK, "mask": encode(np.zeros(HW, np.uint8))}, Action.DELETE),
        ({"shape": S.POLYGON, "points": (np.array([[1.0, 1.0], [9.0, 9.0]]),)}, Action.DELETE),
        ({"shape": S.MASK, "mask": encode(square()), "xyxy": [-9.0, 20.0, 50.0, 60.0]}, Action.ISSUE),
        ({"shape": S.ELLIPSE, "xyxy": [150.0, 20.0, 260.0, 60.0]}, Action.ISSUE),
        ({"rotation": 45.0, "xyxy": [150.0, 20.0, 260.0, 60.0]}, Action.ISSUE),
        ({"shape": S.POLYGON, "points": (EIGHT,)}, Action.ISSUE),
    ],
)
def test_an_invalid_shape_is_repaired_in_the_one_plain_way_or_deleted_if_it_shows_nothing(
    shape: dict[str, Any], expected: Any
) -> None:
    done = one(snapshot(shape), finding(T.INVALID_SHAPE))
    if isinstance(expected, Proposal):
        assert (done.action, done.geometry) == (Action.UPDATE, expected)
    else:
        assert done.action is expected


def test_a_polygon_that_sticks_out_is_cut() -> None:
    ring = np.array([[150.0, 20.0], [250.0, 20.0], [250.0, 60.0], [150.0, 60.0]])
    done = one(snapshot({"shape": S.POLYGON, "points": (ring,), "xyxy": [150, 20, 250, 60]}), finding(T.INVALID_SHAPE))
    assert done.geometry is not None
    assert sorted(done.geometry.ring) == [(150, 20), (150, 60), (200, 20), (200, 60)]


def test_place_and_name_of_one_shape_go_together() -> None:
    plan = planned(snapshot({}), finding(T.LOW_OVERLAP), finding(T.MISMATCHING_LABEL))
    (done,) = plan.corrections
    assert (done.action, done.findings, done.label) == (Action.RELABEL, ("f0", "f1"), "truck")
    assert done.geometry == Proposal((12.0, 22.0, 55.0, 61.0))


def test_two_reasons_to_delete_are_one_deletion_that_still_asks_for_the_other_shape() -> None:
    rows = (finding(T.EXTRA_ANNOTATION, row=1), finding(T.DUPLICATE_ANNOTATION, row=1, related=0))
    (done,) = planned(snapshot({}, {}), *rows).corrections
    assert (done.action, done.findings, done.kept_id) == (Action.DELETE, ("f0", "f1"), 100)


@pytest.mark.parametrize(
    "rows",
    [
        (finding(T.LOW_OVERLAP), finding(T.EXTRA_ANNOTATION)),
        (finding(T.MISMATCHING_LABEL), finding(T.MISMATCHING_LABEL, suggested_label=2)),
        (finding(T.LOW_OVERLAP), finding(T.LOW_OVERLAP, suggested_xyxy=[1.0, 1.0, 9.0, 9.0])),
    ],
)
def test_what_excludes_each_other_is_not_done(rows: tuple[dict[str, Any], ...]) -> None:
    plan = planned(snapshot({}), *rows)
    assert plan.corrections == ()
    (said,) = plan.contradictions
    assert (said.findings, "100" in said.reason) == (("f0", "f1"), True)


def test_the_plan_does_not_depend_on_the_order_of_findings() -> None:
    rows = [finding(T.LOW_OVERLAP, row=1), finding(T.MISSING_ANNOTATION), finding(T.EXTRA_ANNOTATION, row=0)]
    forward, backward = planned(snapshot({}, {}), *rows), planned(snapshot({}, {}), *rows[::-1])
    facts = [[(c.action, c.annotation_id, c.geometry) for c in p.corrections] for p in (forward, backward)]
    assert facts[0] == facts[1]


def test_an_issue_begins_with_the_essential_and_ends_with_its_marker() -> None:
    found = Findings(
        type=[0], frame=[0], score=[0.999], suggested_label=[1], suggested_xyxy=[[-5.0, 1.0, 9.0, 8.0]],
        id=objects(["0123456789abcdef"]), reason=objects(["No label touches it."]))  # fmt: skip
    said = {"0123456789abcdef": Decision("0123456789abcdef", Verdict.ACCEPT, "r", "t", label="bus")}
    (done,) = plan_issues(found, said, snapshot()).corrections
    lines = done.text.split("\n")
    assert lines[0] == "Missing label: bus (99.9 %)"
    assert lines[1:] == ["No label touches it.", "Suggested: label bus here.", "[cvat-audit 0123456789abcdef]"]
    assert done.position == (0.0, 1.0, 9.0, 8.0)


def test_boxes_are_cut_and_rounded() -> None:
    assert boxed([1.005, 2.0, 3.0, 4.0], (0, 0)) == Proposal((1.0, 2.0, 3.0, 4.0))
    assert boxed([np.inf, 2.0, 3.0, 4.0], (0, 0)) is None
    assert boxed([3.0, 2.0, 3.0, 4.0], HW) is None
    assert spot([np.array(NAN), np.array([9.0, 9.0, 1.0, 1.0])], HW) == (1.0, 1.0, 9.0, 9.0)


def test_an_outline_is_simple_and_covers_its_mask() -> None:
    assert outline(np.zeros((4, 4), bool)).shape == (0, 2)
    yy, xx = np.mgrid[: HW[0], : HW[1]]
    disc = (xx - 90) ** 2 + (yy - 50) ** 2 < 40**2
    ring = outline(disc)
    assert 8 <= len(ring) <= 60
    found = outlined(encode(disc), HW, (50.0, 10.0, 130.0, 90.0))
    assert found is not None
    whole = outline(np.ones((5, 6), bool))
    near(whole.tolist(), [(0, 0), (0, 5), (6, 0), (6, 5)])
    speck = np.zeros(HW, np.uint8)
    speck[5, 5] = 1
    assert outlined(encode(speck), HW, (5.0, 5.0, 6.0, 6.0)) is None


def test_scattered_parts_and_holes_have_no_single_outline() -> None:
    parts = np.zeros(HW, np.uint8)
    parts[10:30, 10:30] = parts[10:30, 60:80] = 1
    hole = np.zeros(HW, np.uint8)
    hole[10:90, 10:90] = 1
    hole[20:80, 20:80] = 0
    for mask in (parts, hole, np.zeros(HW, np.uint8)):
        assert outlined(encode(mask), HW, (0.0, 0.0, 9.0, 9.0)) is None
    assert outlined(encode(np.ones((3, 3))), HW, (0.0, 0.0, 9.0, 9.0)) is None  # of another size


def test_a_polygon_outside_leaves_nothing() -> None:
    assert cut(np.array([[300.0, 1.0], [310.0, 1.0], [310.0, 9.0]]), HW) is None
    assert cut(np.zeros((0, 2)), HW) is None


@pytest.mark.parametrize("action", [Action.ISSUE, Action.CREATE])
def test_two_of_one_finding_are_one(action: Action) -> None:
    twice = [Correction(action, ("same",), 3, annotation_id=7, label="car")] * 2
    assert merged(twice) == Plan((twice[0],))
    assert merged([*twice, Correction(action, ("other",), 3, annotation_id=7)]).corrections[1].findings == ("other",)


def test_a_contradiction_says_what_it_is_about() -> None:
    both = [Correction(a, (a.value,), 3, annotation_id=7, track=True) for a in (Action.DELETE, Action.RELABEL)]
    assert [c.reason for c in merged(both).contradictions] == ["track 7: delete it, and also change it?"]
