"""Names that are met in one frame, and labels among names that theirs is never met with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checks import company as company_of
from audit.checks.company import NO_COMPANY, Company, company
from audit.checks.evidence import combine, gather
from audit.checks.extra import TRAITS as EXTRA
from audit.checks.extra import extra_candidates
from audit.checks.habits import habits_of
from audit.checks.mismatching_label import TRAITS as LABEL
from audit.checks.surroundings import LABELLED, SHOWN, surroundings
from audit.checks.tables import LabelEvidence, Scenes
from audit.core.annotations import Annotations, Predictions
from audit.core.table import FloatArray

FORK, TABLE, GIRAFFE, TREE = range(4)
KITCHEN, SAVANNA = {FORK, TABLE}, {GIRAFFE, TREE}


def scenes_of(frames: list[set[int]], weight: float = 0.8) -> Scenes:
    rows = [(i, name) for i, names in enumerate(frames) for name in sorted(names)]
    frame, label = np.array(rows, np.int64).reshape(-1, 2).T
    return Scenes(frame=frame, label=label, weight=np.full(len(rows), weight))


def fit(of: Company, scenes: Scenes, rows: list[tuple[int, int]], support: float = 0.0) -> FloatArray:
    """Of labels given by frame and name."""
    frame, label = np.array(rows, np.int64).reshape(-1, 2).T
    n = len(rows)
    e = LabelEvidence(
        row=np.arange(n), frame=frame, label=label, xyxy=np.zeros((n, 4)), own_support=np.full(n, support)
    )
    return of.fit(e, scenes)


def test_of_no_frames_and_no_labels_nothing_is_told() -> None:
    none = scenes_of([])
    assert fit(company(none), none, []).shape == (0,)
    assert fit(company(none), none, [(0, FORK)]).tolist() == [0]
    frames = scenes_of([KITCHEN, SAVANNA])
    assert fit(company(frames), frames, []).shape == (0,)
    assert fit(NO_COMPANY, frames, [(0, FORK), (1, TREE)]).tolist() == [0, 0]


def test_a_fork_among_giraffes_is_odd_and_on_a_table_it_is_not() -> None:
    frames = scenes_of([KITCHEN] * 10 + [SAVANNA] * 10 + [SAVANNA | {FORK}])
    odd, usual = fit(company(frames), frames, [(20, FORK), (0, FORK)])
    assert odd < -1
    assert usual > 0.3


def test_a_label_is_no_witness_for_itself() -> None:
    """The only fork among giraffes has been met there once: where it lies."""
    frames = scenes_of([KITCHEN] * 10 + [SAVANNA] * 10 + [SAVANNA | {FORK}])
    twice = scenes_of([KITCHEN] * 10 + [SAVANNA] * 9 + [SAVANNA | {FORK}] * 2)
    assert fit(company(frames), frames, [(20, FORK)])[0] < fit(company(twice), twice, [(20, FORK)])[0]
    assert company(frames).together.reshape(5, 5)[FORK, TREE] > 0


def test_labels_that_the_model_sees_and_those_alone_in_their_frame_are_left_out() -> None:
    frames = scenes_of([KITCHEN] * 10 + [SAVANNA] * 10 + [SAVANNA | {FORK}, {FORK}])
    assert fit(company(frames), frames, [(20, FORK)], support=0.2).tolist() == [0]
    assert fit(company(frames), frames, [(21, FORK)]).tolist() == [0]


def test_names_never_counted_say_nothing() -> None:
    known, wider = scenes_of([KITCHEN] * 5), scenes_of([KITCHEN | {7}])
    assert fit(company(known), wider, [(0, 7)]).tolist() == [0]
    assert np.isfinite(fit(company(known), wider, [(0, FORK)])).all()


def test_of_many_names_the_rarest_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company_of, "MOST_NAMES", 2)
    frames = scenes_of([KITCHEN] * 10 + [KITCHEN | {GIRAFFE}])
    of = company(frames)
    assert len(of.alone) == 3
    assert fit(of, frames, [(10, GIRAFFE)]).tolist() == [0]


def test_of_many_frames_some_are_counted_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = scenes_of([KITCHEN, SAVANNA, SAVANNA] * 100 + [SAVANNA | {FORK}])
    every = company(frames)
    monkeypatch.setattr(company_of, "ENOUGH", 250)
    some = company(frames)
    assert some.frames < every.frames / 4
    for row in ((300, FORK), (0, FORK)):
        one, other = (fit(of, frames, [row])[0] for of in (every, some))
        assert np.sign(one) == np.sign(other)


@given(st.lists(st.sets(st.integers(0, 6), max_size=4), max_size=8), st.floats(0.3, 1))
def test_every_label_gets_a_number_and_later_frames_do_not_change_it(frames: list[set[int]], weight: float) -> None:
    scenes = scenes_of(frames, weight)
    rows = [(i, name) for i, names in enumerate(frames) for name in sorted(names)]
    here = fit(company(scenes), scenes, rows)
    later = Scenes(frame=scenes.frame + 1000, label=scenes.label, weight=scenes.weight)
    assert np.isfinite(here).all()
    assert fit(company(later), later, [(i + 1000, name) for i, name in rows]).tolist() == here.tolist()


def test_a_frame_shows_what_is_labelled_and_what_is_predicted_surely() -> None:
    box = [0, 0, 10, 10]
    labels = Annotations(xyxy=[box, box], frame=[3, 3], label=[TREE, TREE], annotation_id=[1, 2])
    predictions = Predictions(
        xyxy=[box] * 4, frame=[2, 3, 3, 3], label=[FORK, FORK, TABLE, TREE], score=[0.5, SHOWN - 0.01, SHOWN, 0.1]
    )
    shown = surroundings(labels, predictions).scenes()
    assert shown.frame.tolist() == [2, 3, 3]
    assert shown.label.tolist() == [FORK, TABLE, TREE]
    assert shown.weight.tolist() == [0.5, SHOWN, LABELLED]
    assert len(surroundings(labels[:0], predictions[:0]).scenes()) == 0


def test_unseen_labels_carry_it_as_a_trait_across_blocks() -> None:
    frames = [KITCHEN] * 6 + [SAVANNA] * 6 + [SAVANNA | {FORK}]
    rows = [(i, name) for i, names in enumerate(frames) for name in sorted(names)]
    frame, label = np.array(rows, np.int64).T
    labels = Annotations(
        xyxy=[[50 * n, 0, 50 * n + 40, 40] for n in label], frame=frame, label=label, annotation_id=np.arange(len(rows))
    )
    hw = np.tile([100, 300], (len(frames), 1))
    nothing = Predictions()
    every = np.ones(len(rows), bool)
    whole = combine([gather(labels, nothing, judged=every, frame_hw=hw)])
    half = int(np.searchsorted(frame, 7))
    blocks = combine(
        [
            gather(labels[:half], nothing, judged=every[:half], frame_hw=hw),
            gather(labels[half:], nothing, judged=every[half:], frame_hw=hw, first_annotation=half),
        ]
    )
    traits = [extra_candidates(e, habits_of(e, 4)).traits[:, EXTRA.index("usual company")] for e in (whole, blocks)]
    assert traits[0].tolist() == traits[1].tolist()
    assert rows[int(traits[0].argmin())] == (12, FORK)
    assert "usual company" in LABEL
