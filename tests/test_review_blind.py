"""Questions drawn by chance, and the order that changes as verdicts come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit import decisions
from audit.core.annotations import Annotations, Frames, ShapeType, Snapshot
from audit.core.decisions import Verdict
from audit.core.findings import Findings, FindingType
from audit.core.questions import Answer
from audit.errors import ServiceError, UsageError
from audit.loop.blind import blind_questions
from audit.loop.queue import Filter
from audit.report.spots import Spots
from audit.review import BLIND, CHECKS, SAMPLE, Plan, Review
from audit.runs import RunFolder
from tests.report.conftest import save_run

LABELS = ["person", "bus"]
EVERY_SECOND = Plan(blind=0.5)


def write(path: Path, findings: int = 60, frames: int = 12, photo: str = "not read.jpg") -> RunFolder:
    """Ten labels a frame; a finding about each of the first ``findings`` of them, of two types."""
    n = 10 * frames
    corner = np.random.default_rng(0).uniform(0, 500, (n, 2))
    box = np.hstack([corner, corner + 40])
    label = np.arange(n) % 2
    row = np.arange(findings)
    table = Frames(
        name=[f"{i}.jpg" for i in range(frames)],
        number=np.arange(frames),
        width=[1000] * frames,
        height=[800] * frames,
        path=[photo] * frames,
    )
    annotations = Annotations(xyxy=box, frame=np.repeat(np.arange(frames), 10), label=label, annotation_id=np.arange(n))
    kinds = np.where(row % 2, FindingType.EXTRA_ANNOTATION, FindingType.LOW_OVERLAP)
    found = Findings(
        type=kinds,
        frame=annotations.frame[row],
        score=np.linspace(0.95, 0.03, findings),
        annotation=row,
        annotation_id=row,
        label=label[row],
        xyxy=box[row],
        suggested_xyxy=np.where((row % 2)[:, None], np.nan, box[row] + 5),
    )
    return save_run(path, table, annotations, findings=found, labels=LABELS)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write(tmp_path / "run")


def answered(review: Review, number: int) -> list[str]:
    asked = []
    for _ in range(number):
        ready = review.ask(1)
        if not ready:
            break
        asked += ready
        review.answer(ready[0], Answer.NO, seconds=1.0)
    return asked


def test_an_empty_run_has_nothing_to_draw_from(tmp_path: Path) -> None:
    review = Review(save_run(tmp_path), "ann", Plan(blind=1.0))
    assert review.ask(3) == []
    none = blind_questions(Snapshot("x", (), Frames(), Annotations()), Findings())
    assert (len(none.together), none.of_labels, none.of_frames) == (0, 0, 0)


def test_labels_that_a_finding_is_about_tags_and_crowds_are_never_drawn(run: RunFolder) -> None:
    snapshot = run.snapshot()
    odd = snapshot.annotations.replace(
        shape=np.where(np.arange(120) == 119, ShapeType.TAG, ShapeType.RECTANGLE), crowd=np.arange(120) == 118
    )
    drawn = blind_questions(Snapshot("x", run.labels, snapshot.frames, odd), run.findings())
    assert set(drawn.labels.annotation.tolist()) == set(range(60, 118))
    assert (drawn.of_labels, drawn.of_frames) == (58, 12)
    assert drawn.labels.id.tolist() == sorted(drawn.labels.id.tolist())
    assert not set(drawn.together.id) & set(run.findings().id)
    assert drawn.labels.annotation.tolist() != sorted(drawn.labels.annotation.tolist())


def test_without_photos_only_findings_are_drawn(tmp_path: Path) -> None:
    run = write(tmp_path / "run", photo="")
    review = Review(run, "ann", EVERY_SECOND)
    answered(review, 40)
    assert decisions.read(run.path / BLIND) == []
    assert {d.origin for d in decisions.read(run.path)} == {"review", SAMPLE}


def test_blind_answers_stand_apart_and_drawn_findings_are_marked(run: RunFolder) -> None:
    review = Review(run, "ann", EVERY_SECOND)
    asked = answered(review, 60)
    apart, said = decisions.read(run.path / BLIND), decisions.read(run.path)
    real = set(run.findings().id)
    assert len({*asked}) == 60 == len(apart) + len(said)
    assert {d.finding for d in said} <= real
    assert not {d.finding for d in apart} & real
    assert not (run.path / CHECKS).exists()
    drawn = [d.finding for d in said if d.origin == SAMPLE]
    assert 3 <= len(drawn) < len(said)
    scores = dict(zip(run.findings().id, run.findings().score, strict=True))
    assert min(scores[i] for i in drawn) < 0.3
    assert review.counts().done == len(said)
    kinds = {review.question(d.finding).text[:7] for d in apart}
    assert kinds == {"Is this", "Does an"}


def test_no_is_a_mistake_of_a_label_and_none_of_a_photo(run: RunFolder) -> None:
    review = Review(run, "ann", EVERY_SECOND)
    asked = [i for i in answered(review, 60) if review.is_blind(review.row(i))]
    said = {d.finding: d.verdict for d in decisions.read(run.path / BLIND)}
    for i in asked:
        about_label = review.findings.annotation[review.row(i)] >= 0
        assert said[i] is (Verdict.ACCEPT if about_label else Verdict.REJECT)
        assert review.title(review.row(i)) == "Drawn by chance"


def test_nobody_is_asked_blind_what_somebody_answered_and_undo_asks_again(run: RunFolder) -> None:
    ann, bob = Review(run, "ann", EVERY_SECOND), Review(run, "bob", EVERY_SECOND)
    first = answered(ann, 50)
    second = answered(bob, 50)
    assert not set(first) & set(second)
    last = ann.undo()
    assert last == first[-1]
    assert ann.ask(1) == [last]


def test_a_filter_takes_no_part_in_chance(run: RunFolder) -> None:
    review = Review(run, "ann", Plan(blind=1.0))
    for _ in range(15):
        (asked,) = review.ask(1, Filter(label="bus"))
        assert not review.is_blind(review.row(asked))
        review.answer(asked, Answer.NO)
    assert {d.origin for d in decisions.read(run.path)} == {"review"}


def test_the_label_s_own_name_is_no_other_label_here_either(run: RunFolder) -> None:
    review = Review(run, "ann", EVERY_SECOND)
    label = next(
        i for i in review.findings.id if review.is_blind(review.row(i)) and review.findings.label[review.row(i)] == 0
    )
    with pytest.raises(UsageError, match="already"):
        review.answer(label, Answer.OTHER, label="person")
    review.answer(label, Answer.OTHER, label="bus")
    assert decisions.read(run.path / BLIND)[0].verdict is Verdict.ACCEPT


def test_a_photo_shows_all_labels_of_its_frame(run: RunFolder) -> None:
    review = Review(run, "ann", EVERY_SECOND)
    frame = next(i for i in review.findings.id if review.findings.annotation[review.row(i)] < 0)
    spots = Spots(run, review.findings)
    spot = spots.spot(review.row(frame))
    spots.close()
    assert (spot.view.width, spot.view.height) == (1000, 800)
    assert [p.role for p in spot.paths] == ["existing"] * 10


def test_a_blind_folder_that_cannot_be_made_is_one_line(run: RunFolder) -> None:
    (run.path / BLIND).write_text("in the way")
    with pytest.raises(ServiceError, match="cannot write"):
        Review(run, "ann", EVERY_SECOND)


def test_a_type_that_turns_out_wrong_goes_back_in_the_queue(run: RunFolder) -> None:
    review = Review(run, "ann")
    kind = dict(zip(run.findings().id, run.findings().type, strict=True))
    score = dict(zip(run.findings().id, run.findings().score, strict=True))
    asked = []
    while ready := review.ask(1):
        extra = kind[ready[0]] == FindingType.EXTRA_ANNOTATION
        # "yes" to an extra label keeps it: the finding is wrong; "yes" to a low IoU accepts it
        review.answer(ready[0], Answer.YES)
        asked.append((extra, score[ready[0]]))
    assert len(asked) == 60
    middle = [extra for extra, s in asked if 0.3 < s < 0.7]
    half = len(middle) // 2
    assert np.mean(middle[:half]) < 0.35
    assert np.mean(middle[half:]) > 0.65


def test_a_new_order_moves_nothing_that_is_handed_out(run: RunFolder) -> None:
    review = Review(run, "ann")
    held = review.ask(8)
    for _ in range(25):
        review.answer(held[0], Answer.NO)
        after = review.ask(8)
        assert after[:7] == held[1:]
        held = after
