"""The audit from end to end, with a store and models made for the test."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.annotations import Annotations, Frames, Job, Predictions, ShapeType, Snapshot
from audit.core.findings import FindingType
from audit.errors import ServiceError, UsageError
from audit.out_folder import alone
from audit.ports import Advance, FrameImage, FrameProblem, PredictItem, TakeAnnotations
from audit.runs import RunFolder, write_manifest
from audit.workflow import Settings, add_timing, audit

LABELS = ("person", "car")
DEFAULT = Settings()


class Notes:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done: dict[str, int] = {}

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Advance]:
        self.done[description] = 0

        def advance(steps: int = 1) -> None:
            self.done[description] += steps

        yield advance

    def note(self, line: str) -> None:
        self.lines.append(line)


class Memory:
    """A cache that counts."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Predictions] = {}

    def get(self, digest: str, sha256s: Sequence[str]) -> dict[str, Predictions]:
        return {s: self.kept[digest, s] for s in sha256s if (digest, s) in self.kept}

    def put(self, digest: str, predictions: dict[str, Predictions]) -> None:
        self.kept |= {(digest, s): p for s, p in predictions.items()}


class Store:
    """Frames of one colour each; frame ``broken`` has no image."""

    def __init__(self, annotations: Annotations, frames: int = 6, *, images: bool = True, broken: int = -1) -> None:
        self.frames, self.annotations, self._images, self.broken = frames, annotations, images, broken

    def snapshot(self, progress: Notes, take: TakeAnnotations | None = None) -> Snapshot:
        n = self.frames
        annotations = self.annotations
        if take is not None:
            take(annotations[:1], LABELS)
            take(annotations[1:], LABELS)
            annotations = Annotations()
        frames = Frames(name=[f"{i}.png" for i in range(n)], number=np.arange(n), job=np.full(n, 7), task=np.full(n, 1))
        return Snapshot("test://1", LABELS, frames, annotations, jobs=(Job(7, 1, "ann"),), link="http://x/{number}")

    def has_images(self) -> bool:
        return self._images

    def images(self, snapshot: Snapshot, frames: Sequence[int]) -> Iterator[FrameImage | FrameProblem]:
        for frame in frames:
            if frame == self.broken:
                yield FrameProblem(frame, "is gone")
                continue
            data = picture(frame)
            yield FrameImage(frame, hashlib.sha256(data).hexdigest(), Path(f"{frame}.png"), data)

    def close(self) -> None:
        pass


class Model:
    """Sees one person at BOX in every frame; refuses ``blind`` frames; dies after ``lives`` calls."""

    needs_images = True
    batch_size = 2
    notes = ("a note",)
    overlaps = False

    def __init__(
        self, *, labels: tuple[str, ...] = LABELS, blind: int = -1, lives: int = 10**9, name: str = "m"
    ) -> None:
        self.labels, self.blind, self.lives, self.name = labels, blind, lives, name
        self.digest = f"digest of {name}"
        self.seen: list[int] = []
        self.closed = False

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        if not self.lives:
            raise ServiceError("the model died")
        self.lives -= 1
        self.seen += [i.frame for i in items]
        return [
            "cannot be decoded" if i.frame == self.blind else Predictions(xyxy=[BOX], label=[0], score=[0.9])
            for i in items
        ]

    def close(self) -> None:
        self.closed = True


BOX = [1.0, 1, 21, 21]


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def boxes(frames: Sequence[int], label: int = 0) -> Annotations:
    n = len(frames)
    return Annotations(xyxy=[BOX] * n, frame=frames, label=[label] * n, annotation_id=np.arange(n) + 1)


def run(
    tmp_path: Path,
    store: Store,
    *models: Model,
    cache: Memory | None = None,
    notes: Notes | None = None,
    settings: Settings = DEFAULT,
) -> RunFolder:
    return audit(store, lambda _: models, tmp_path / "run", settings=settings, cache=cache or Memory(),
                 progress=notes or Notes())  # fmt: skip


def test_a_missing_label_on_the_frame_that_has_none(tmp_path: Path) -> None:
    notes, model = Notes(), Model()
    folder = run(tmp_path, Store(boxes([5, 0, 1, 2, 3])), model, notes=notes)
    found = folder.findings()
    assert found.type.tolist() == [FindingType.MISSING_ANNOTATION]
    assert found.frame.tolist() == [4]
    assert found.reason[0].startswith("A person is predicted here at 90 %")
    assert folder.predictions_at(found.prediction).xyxy.tolist() == [BOX]
    assert notes.done == {"Reading images": 6, "Predicting": 6, "Comparing": 6}
    types, scores = next(folder.types_and_scores())
    assert types.tolist() == found.type.tolist()
    assert scores.tolist() == found.score.tolist()
    assert model.closed
    assert folder.manifest["notes"] == ["a note"]
    assert set(folder.manifest["timings"]) == {"pull", "predict", "find"}
    assert folder.frames().sha256[0] == hashlib.sha256(picture(0)).hexdigest()
    assert folder.snapshot().frame_link(3) == "http://x/3"
    assert folder.annotations().frame.tolist() == [0, 1, 2, 3, 5]


def test_nothing_at_all(tmp_path: Path) -> None:
    folder = run(tmp_path, Store(Annotations(), frames=0), Model())
    assert len(folder.findings()) == 0
    assert folder.manifest["counts"]["frames"] == 0


def test_the_model_never_sees_the_same_bytes_twice(tmp_path: Path) -> None:
    cache, first, second = Memory(), Model(), Model()
    one = run(tmp_path, Store(boxes([0])), first, cache=cache).findings()
    two = run(tmp_path, Store(boxes([0])), second, cache=cache).findings()
    assert sorted(first.seen) == list(range(6))
    assert second.seen == []
    assert one.id.tolist() == two.id.tolist()


def test_a_killed_audit_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", Store(boxes([0])), Model())
    cache, dying, next_one = Memory(), Model(lives=2), Model()
    with pytest.raises(ServiceError, match="died"):
        run(tmp_path, Store(boxes([0])), dying, cache=cache)
    assert dying.closed
    with pytest.raises(UsageError, match="is not a run"):
        RunFolder.open(tmp_path / "run")
    resumed = run(tmp_path, Store(boxes([0])), next_one, cache=cache)
    assert sorted(dying.seen + next_one.seen) == list(range(6))
    for name in ("frames", "annotations", "predictions", "findings"):
        assert (resumed.path / f"{name}.parquet").read_bytes() == (whole.path / f"{name}.parquet").read_bytes()


def test_a_model_that_is_asked_ahead_gives_the_same_run(tmp_path: Path) -> None:
    plain, ahead, notes = Model(blind=3), Model(blind=3), Notes()
    ahead.overlaps = True
    one = run(tmp_path / "one", Store(boxes([0]), frames=9, broken=2), plain)
    other = run(tmp_path / "other", Store(boxes([0]), frames=9, broken=2), ahead, notes=notes)
    assert notes.done["Predicting"] == len(ahead.seen) == 8
    assert ahead.closed
    assert other.manifest["problems"] == one.manifest["problems"]
    for name in ("frames", "annotations", "predictions", "findings"):
        assert (other.path / f"{name}.parquet").read_bytes() == (one.path / f"{name}.parquet").read_bytes()


def test_one_bad_frame_is_said_and_skipped(tmp_path: Path) -> None:
    folder = run(tmp_path, Store(boxes(range(6), label=1), broken=2), Model(blind=4))
    assert [(p["where"], p["reason"]) for p in folder.manifest["problems"]] == [
        ("2.png", "is gone"),
        ("4.png", "cannot be decoded"),
    ]
    assert sorted(folder.findings().frame.tolist()) == [0, 1, 3, 5]
    assert folder.manifest["counts"]["frames_audited"] == 4
    assert folder.manifest["counts"]["not_compared"] == {"frame not predicted": 2}


def test_names_left_over_on_both_sides_are_an_error_that_lists_both(tmp_path: Path) -> None:
    store = Store(boxes([0, 1], label=1))
    with pytest.raises(UsageError, match=r"does not know these labels of the task: 'car'.*'automobile'.*--map"):
        run(tmp_path, store, Model(labels=("person", "automobile")))
    folder = run(tmp_path, store, Model(labels=("person", "automobile")), settings=Settings({"automobile": "car"}))
    assert FindingType.MISMATCHING_LABEL in folder.findings().type
    other = run(tmp_path, store, Model(labels=("person", "automobile")), settings=Settings(allow_unmatched=True))
    assert other.manifest["counts"]["not_compared"] == {"label unknown to every model": 2}
    assert not np.isin(other.findings().type, [FindingType.EXTRA_ANNOTATION, FindingType.MISMATCHING_LABEL]).any()


def test_a_mapping_that_no_model_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cow"):
        run(tmp_path, Store(boxes([0])), Model(), settings=Settings({"cow": "car"}))


def test_without_images_a_model_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--images DIR"):
        run(tmp_path, Store(boxes([0]), images=False), Model())


def test_two_models_share_one_reading_of_the_images(tmp_path: Path) -> None:
    one, two = Model(name="one"), Model(name="two", labels=("car", "person"))
    folder = run(tmp_path, Store(boxes([0, 1, 2, 3, 4])), one, two)
    assert folder.models == ("one", "two")
    assert sorted(folder.predictions().model.tolist()) == [0] * 6 + [1] * 6
    found = folder.findings()
    # one says person, the other car, of the same box: who agrees with the label that is there is believed
    lacking = found.type == FindingType.MISSING_ANNOTATION
    assert found.prediction_score[lacking] == pytest.approx(0.9, abs=0.01)
    assert set(found.suggested_label[lacking].tolist()) == {LABELS.index("person")}
    assert next(n for n in folder.manifest["notes"] if "next to nothing" in n).startswith("two agrees")
    assert "notes" not in folder.manifest["counts"]


class Other(Store):
    """Another source."""

    def snapshot(self, progress: Notes, take: TakeAnnotations | None = None) -> Snapshot:
        return replace(super().snapshot(progress, take), source="test://2")


def test_the_journal_of_an_audit_whose_rerun_was_killed_stays_its_own(tmp_path: Path) -> None:
    run(tmp_path, Store(boxes([0])), Model())
    (tmp_path / "run" / "journal.jsonl").write_text("")
    with pytest.raises(ServiceError, match="died"):
        run(tmp_path, Store(boxes([0])), Model(lives=2))
    with pytest.raises(UsageError, match=r"holds the journal\.jsonl of 'cvat-audit run' of test://1"):
        run(tmp_path, Other(boxes([0])), Model())
    run(tmp_path, Store(boxes([0])), Model())


def test_another_sources_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, Store(boxes([0])), Model())
    with pytest.raises(UsageError, match="holds an audit of test://1"):
        run(tmp_path, Other(boxes([0])), Model())


def test_what_another_command_made_is_not_overwritten(tmp_path: Path) -> None:
    made = run(tmp_path, Store(boxes([0])), Model())
    write_manifest(made.path, {**made.manifest, "command": "prelabel"})
    with pytest.raises(UsageError, match="holds what 'prelabel' made"):
        run(tmp_path, Store(boxes([0])), Model())


def test_decisions_survive_a_second_run(tmp_path: Path) -> None:
    folder = run(tmp_path, Store(boxes([0])), Model())
    (folder.path / "decisions.jsonl").write_text("{}\n")
    run(tmp_path, Store(boxes([0])), Model())
    assert (folder.path / "decisions.jsonl").read_text() == "{}\n"


def test_what_cannot_be_compared_is_counted(tmp_path: Path) -> None:
    shapes = boxes([0, 1, 2]).replace(shape=[ShapeType.POLYLINE, ShapeType.TAG, ShapeType.RECTANGLE], crowd=[0, 0, 1])
    counts = run(tmp_path, Store(shapes), Model()).manifest["counts"]
    assert counts["not_compared"] == {"polyline": 1, "tag": 1, "crowd region": 1}


def test_types_can_be_switched_off(tmp_path: Path) -> None:
    settings = Settings(types=(FindingType.MISMATCHING_LABEL,))
    found = run(tmp_path, Store(boxes(range(6), label=1)), Model(), settings=settings).findings()
    assert set(found.type.tolist()) == {FindingType.MISMATCHING_LABEL}


def test_later_stages_add_their_time(tmp_path: Path) -> None:
    folder = add_timing(run(tmp_path, Store(boxes([0])), Model()), "report", 1.5)
    assert RunFolder.open(folder.path).manifest["timings"]["report"] == 1.5


class OnDisk(Store):
    """A source with a path, as an export has."""

    def snapshot(self, progress: Notes, take: TakeAnnotations | None = None) -> Snapshot:
        return replace(super().snapshot(progress, take), source=str(Path.cwd() / "set"))


def test_a_run_that_knows_its_export_by_a_relative_path_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run(tmp_path, OnDisk(boxes([0])), Model())
    write_manifest(folder.path, {**folder.manifest, "source": "set"})
    assert run(tmp_path, OnDisk(boxes([0])), Model()).manifest["source"] == str(tmp_path / "set")
    write_manifest(folder.path, {**folder.manifest, "source": "other/set"})
    with pytest.raises(UsageError, match="holds an audit of other/set"):
        run(tmp_path, OnDisk(boxes([0])), Model())


def test_what_is_predicted_everywhere_and_labelled_nowhere_is_said(tmp_path: Path) -> None:
    folder = run(tmp_path, Store(boxes([], label=1)), Model())
    assert [note for note in folder.manifest["notes"] if "labelled nowhere: 'person' on 6 frames" in note]
    car_only = Settings(types=(FindingType.LOW_OVERLAP,))
    assert run(tmp_path, Store(boxes([])), Model(), settings=car_only).manifest["notes"] == ["a note"]


def test_a_folder_that_another_audit_is_writing_to_is_left_to_it(tmp_path: Path) -> None:
    folder = run(tmp_path, Store(boxes([0])), Model())
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    with alone(folder.path), pytest.raises(UsageError, match="another cvat-audit is writing to"):
        run(tmp_path, Store(boxes([0, 1])), Model())
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    with pytest.raises(ServiceError, match="died"):
        run(tmp_path, Store(boxes([0])), Model(lives=1))
    run(tmp_path, Store(boxes([0])), Model())  # one that failed holds nothing
