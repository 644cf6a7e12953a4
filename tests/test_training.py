"""Training in folds, with a trainer that only remembers: who learns from what, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from audit.adapters.results import open_results
from audit.cli.sources import SourceOptions, opened_store
from audit.core.annotations import Annotations, Predictions, ShapeType, Snapshot
from audit.errors import ServiceError, UsageError
from audit.ports import AnnotationStore, PredictItem, Predictor
from audit.training import carry_out, estimate
from audit.training_plan import Training, Wishes, alone, prepare
from audit.training_ports import Example, Schedule, Trainer
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.doubles.progress import Noted
from tests.training_scenes import HEIGHT, LABELS, WIDTH, Store, encoded, snapshot

PICTURES = 20
BOX = [10.0, 10.0, 30.0, 25.0]


@dataclass
class Rote:
    """Remembers the file of every example; what it opens sees its label in the middle of every picture.

    dies_in: number of the training that is interrupted halfway.
    """

    start: Path
    device: str = "cpu"
    dies_in: int = -1
    learnt: list[list[str]] = field(default_factory=list)
    judged: list[list[bytes]] = field(default_factory=list)

    def seconds_per_batch(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        schedule: Schedule,
        folder: Path,
    ) -> float:
        assert examples
        return 2.0

    def train(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        schedule: Schedule,
        folder: Path,
        *,
        on_batch: Callable[[], None],
    ) -> Path:
        folder.mkdir(exist_ok=True)
        for _ in range(schedule.epochs * schedule.batches(len(examples))):
            on_batch()
            if len(self.learnt) == self.dies_in:
                raise KeyboardInterrupt
        self.learnt.append([str(e.file) for e in examples])
        weights = folder / "weights.pt"
        weights.write_text(json.dumps([e.file.read_bytes().hex() for e in examples]))
        return weights

    def epochs_done(self, folder: Path) -> int:
        return 0

    def open(self, weights: Path, image_size: int) -> Predictor:
        seen = {bytes.fromhex(h) for h in json.loads(weights.read_text())}
        self.judged.append([])
        return Sees(seen, self.judged[-1])


class Sees:
    name, digest, needs_images, batch_size = "rote", "", True, 3
    labels: tuple[str, ...] = LABELS
    notes: tuple[str, ...] = ()

    def __init__(self, learnt: set[bytes], judged: list[bytes]) -> None:
        self.learnt, self.judged = learnt, judged

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        assert not self.learnt & {i.data for i in items}, "judged by a model that learnt from it"
        self.judged += [i.data or b"" for i in items]
        return [Predictions(xyxy=[BOX], label=[0], score=[0.9123456]) for _ in items]

    def close(self) -> None: ...


_conforms: type[Trainer] = Rote


def labels_of(pictures: int = PICTURES, per_picture: int = 3) -> Annotations:
    n = pictures * per_picture
    return Annotations(
        xyxy=[BOX] * n,
        frame=np.repeat(np.arange(pictures), per_picture),
        label=np.zeros(n, np.int64),
        annotation_id=np.arange(n) + 1,
    )


def held(annotations: Annotations | None = None, pictures: int = PICTURES) -> Snapshot:
    sizes = [(HEIGHT, WIDTH)] * pictures
    return snapshot(pictures, sizes, labels_of(pictures) if annotations is None else annotations)


@pytest.fixture
def trainer(tmp_path: Path) -> Rote:
    start = tmp_path / "start.pt"
    start.write_bytes(b"weights")
    return Rote(start)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "in", [encoded(seed=i) for i in range(PICTURES)], held())


def begun(
    store: AnnotationStore,
    trainer: Trainer,
    tmp_path: Path,
    *,
    noted: Noted | None = None,
    restart: bool = False,
    **wishes: int,
) -> Training:
    folder = tmp_path / "out"
    with alone(folder):
        return prepare(store, folder, trainer, Wishes(**wishes), noted or Noted(), restart=restart)


def test_nothing_to_learn_from(tmp_path: Path, trainer: Rote) -> None:
    with pytest.raises(UsageError, match=r"needs the images.*--images"):
        begun(Store(tmp_path / "none", [], snapshot(0)), trainer, tmp_path)
    with pytest.raises(UsageError, match=r"0 of 3 pictures.*cvat-audit run"):
        begun(Store(tmp_path / "bare", [encoded(seed=i) for i in range(3)]), trainer, tmp_path)
    assert not (tmp_path / "out" / "training.json").exists()


def test_every_picture_is_judged_once_by_a_model_that_never_saw_it(store: Store, trainer: Rote, tmp_path: Path) -> None:
    training = begun(store, trainer, tmp_path, epochs=2)
    noted = Noted()
    carry_out(training, trainer, noted)
    assert len(trainer.learnt) == 5
    assert sorted(b for judged in trainer.judged for b in judged) == sorted(store.pictures)
    assert noted.steps["Training"] == noted.totals["Training"] == 5 * 2 * 2  # 16 pictures in batches of 8
    assert "'worm'" not in noted.notes[0]
    assert noted.notes[0].startswith("average precision (IoU 0.5) on pictures held out: cell 34 %")


def test_duplicates_stay_together(trainer: Rote, tmp_path: Path) -> None:
    """``Sees`` fails if one of a pair is judged by the model that learnt the other."""
    pictures = [encoded(seed=i // 2) for i in range(PICTURES)]
    store = Store(tmp_path / "in", pictures, held())
    carry_out(begun(store, trainer, tmp_path), trainer, Noted())
    assert sum(map(len, trainer.judged)) == PICTURES


def test_the_results_file_says_what_the_models_saw(store: Store, trainer: Rote, tmp_path: Path) -> None:
    training = begun(store, trainer, tmp_path)
    carry_out(training, trainer, Noted())
    rows = json.loads(training.predictions.read_text())
    assert sorted(rows, key=lambda r: int(r["file_name"][:-4])) == [
        {"file_name": f"{i}.jpg", "category_name": "cell", "bbox": [10, 10, 20, 15], "score": 0.91235}
        for i in range(PICTURES)
    ]
    predictor = open_results(training.predictions, held())
    item = PredictItem(frame=4, name="4.jpg", image_id=-1, task=-1, number=4, size_hw=(0, 0), sha256="", data=None)
    (found,) = predictor.predict([item])
    assert isinstance(found, Predictions)
    assert found.xyxy.tolist() == [BOX]


def test_numbers_of_images_and_labels_are_the_source_s_own(trainer: Rote, tmp_path: Path) -> None:
    whole = held()
    numbered = replace(whole, frames=whole.frames.replace(image_id=np.arange(PICTURES) + 100), label_ids=(7, 9))
    store = Store(tmp_path / "in", [encoded(seed=i) for i in range(PICTURES)], numbered)
    training = begun(store, trainer, tmp_path)
    carry_out(training, trainer, Noted())
    rows = json.loads(training.predictions.read_text())
    assert {(r["image_id"], r["file_name"]) for r in rows} == {(100 + i, f"{i}.jpg") for i in range(PICTURES)}
    assert {r["category_id"] for r in rows} == {7}


def test_a_task_on_a_server(trainer: Rote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", ADMIN_TOKEN)
    photos = {f"{i:03d}.jpg": encoded(seed=i) for i in range(PICTURES)}
    with FakeCvat() as server:
        task = server.add_task("t", photos, [{"name": "cell"}], segment_size=PICTURES)
        label, (job,) = server.labels(task)["cell"], server.jobs(task)
        shapes = [shape(frame, label) for frame in range(PICTURES) for _ in range(3)]
        server.set_annotations(job["id"], {"shapes": shapes, "tags": [], "tracks": []})
        source = server.url.replace("http://", "cvat://") + f"/tasks/{task}"
        with opened_store(SourceOptions(source, None, None, None, None, None, None, None, 2)) as store:
            training = begun(store, trainer, tmp_path)
            carry_out(training, trainer, Noted())
    rows = json.loads(training.predictions.read_text())
    assert {(r["task"], r["frame"], r["file_name"]) for r in rows} == {
        (task, i, f"{i:03d}.jpg") for i in range(PICTURES)
    }


def shape(frame: int, label: int) -> dict[str, object]:
    return {"type": "rectangle", "frame": frame, "label_id": label, "points": BOX, "occluded": False, "z_order": 0,
            "rotation": 0.0, "group": 0, "source": "manual", "attributes": []}  # fmt: skip


def test_names_may_repeat_between_tasks(trainer: Rote, tmp_path: Path) -> None:
    whole = held()
    number = np.arange(PICTURES) % 10
    tasks = whole.frames.replace(task=np.arange(PICTURES) // 10 + 41, number=number, name=[f"{i}.jpg" for i in number])
    project = replace(whole, frames=tasks)
    training = begun(Store(tmp_path / "in", [encoded(seed=i) for i in range(PICTURES)], project), trainer, tmp_path)
    carry_out(training, trainer, Noted())
    predictor = open_results(training.predictions, project)
    item = PredictItem(frame=0, name="", image_id=-1, task=-1, number=0, size_hw=(0, 0), sha256="", data=None)
    found = predictor.predict([replace(item, frame=i) for i in range(PICTURES)])
    assert [len(p) for p in found] == [1] * PICTURES
    assert predictor.notes == ()


def test_polygons_are_learnt_as_boxes_and_that_is_told(store: Store, trainer: Rote, tmp_path: Path) -> None:
    shapes = np.full(3 * PICTURES, int(ShapeType.RECTANGLE))
    shapes[:7] = ShapeType.POLYGON
    store.held = held(labels_of().replace(shape=shapes))
    assert (
        "7 of 60 objects are polygons, masks or ellipses and are learnt as boxes"
        in begun(store, trainer, tmp_path).notes
    )


def test_frames_of_one_picture_are_told_once(trainer: Rote, tmp_path: Path) -> None:
    whole = held()
    names = [f"{i // 2}.jpg" for i in range(PICTURES)]  # as two jobs that overlap have them
    twice = replace(whole, frames=whole.frames.replace(name=names))
    store = Store(tmp_path / "in", [encoded(seed=i // 2) for i in range(PICTURES)], twice)
    training = begun(store, trainer, tmp_path)
    carry_out(training, trainer, Noted())
    assert sorted(r["file_name"] for r in json.loads(training.predictions.read_text())) == sorted(set(names))


def test_what_is_done_is_not_done_again(store: Store, trainer: Rote, tmp_path: Path) -> None:
    dying = replace(trainer, dies_in=2, learnt=[], judged=[])
    with pytest.raises(KeyboardInterrupt):
        carry_out(begun(store, dying, tmp_path, epochs=1), dying, Noted())
    reads, training, noted = store.reads, begun(store, trainer, tmp_path), Noted()
    assert training.schedule.epochs == 1
    assert [training.finished(k) for k in range(5)] == [True, True, False, False, False]
    assert estimate(training, trainer).seconds == pytest.approx(3 * (2 * 2.0 + 4 * 0.35 * 2.0 / 8 + 3.0))
    carry_out(training, trainer, noted)
    assert (len(trainer.learnt), store.reads) == (3, reads)
    assert noted.steps["Training"] == noted.totals["Training"] == 10
    assert len(json.loads(training.predictions.read_text())) == PICTURES
    assert estimate(training, trainer).seconds == 0
    later = Noted()
    carry_out(training, trainer, later)
    assert (later.steps, later.notes) == ({}, noted.notes)


def test_a_call_killed_while_it_reads_pictures_begins_anew(store: Store, trainer: Rote, tmp_path: Path) -> None:
    begun(store, trainer, tmp_path, folds=2)
    (tmp_path / "out" / "training.json").unlink()
    (tmp_path / "out" / "images" / "stray.png").write_bytes(b"")
    assert begun(store, trainer, tmp_path, folds=3).data.folds == 3
    assert not (tmp_path / "out" / "images" / "stray.png").exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"epochs": 9}, "--epochs 3, not 9"),
        ({"folds": 4}, "--folds 2, not 4"),
        ({"image_size": 64}, "--image-size 64"),
        ({"batch": 2}, "--batch 8, not 2"),
    ],
)
def test_other_settings_are_another_training(
    store: Store, trainer: Rote, tmp_path: Path, wish: dict[str, int], said: str
) -> None:
    begun(store, trainer, tmp_path, folds=2, epochs=3, image_size=96)
    with pytest.raises(UsageError, match=said.replace("--image-size 64", "--image-size 96, not 64")):
        begun(store, trainer, tmp_path, **wish)
    assert begun(store, trainer, tmp_path, epochs=3).schedule.image_size == 96
    assert begun(store, trainer, tmp_path, restart=True, **wish).data.folds == wish.get("folds", 5)


def test_a_device_is_no_setting_but_weights_and_frames_are(store: Store, trainer: Rote, tmp_path: Path) -> None:
    first = begun(store, trainer, tmp_path)
    assert begun(store, replace(trainer, device="cuda"), tmp_path).schedule == first.schedule
    other = tmp_path / "other.pt"
    other.write_bytes(b"others")
    with pytest.raises(UsageError, match="the weights to begin with were others"):
        begun(store, replace(trainer, start=other), tmp_path)
    store.held = replace(held(), frames=held().frames.replace(name=[f"new-{i}.jpg" for i in range(PICTURES)]))
    with pytest.raises(UsageError, match=r"frames were others.*--restart"):
        begun(store, trainer, tmp_path)


def test_labels_that_changed_since_are_told(store: Store, trainer: Rote, tmp_path: Path) -> None:
    begun(store, trainer, tmp_path)
    store.held = held(labels_of().replace(xyxy=np.tile(BOX, (3 * PICTURES, 1)) + 1))
    noted = Noted()
    begun(store, trainer, tmp_path, noted=noted)
    assert noted.notes == [
        "the labels have changed since this training began; --restart trains on them as they are now"
    ]


def test_pictures_that_cannot_be_used_are_told(trainer: Rote, tmp_path: Path) -> None:
    store = Store(tmp_path / "in", [*(encoded(seed=i) for i in range(PICTURES - 1)), None], held())
    training = begun(store, trainer, tmp_path)
    assert "pictures that cannot be used: 1 (19.jpg: is not there)" in training.notes
    carry_out(training, trainer, Noted())
    assert len(json.loads(training.predictions.read_text())) == PICTURES - 1


def test_a_label_that_was_hardly_learnt_is_told(store: Store, trainer: Rote, tmp_path: Path) -> None:
    store.held = held(labels_of().replace(xyxy=np.tile([0.0, 0, 5, 5], (3 * PICTURES, 1))))
    noted = Noted()
    carry_out(begun(store, trainer, tmp_path), trainer, noted)
    assert noted.notes[-1].startswith("hardly learnt, so do not trust findings about: 'cell'")


@pytest.mark.parametrize("text", ["{", "[1]", '{"format": 0}'])
def test_a_broken_note_of_what_was_begun(store: Store, trainer: Rote, tmp_path: Path, text: str) -> None:
    begun(store, trainer, tmp_path)
    (tmp_path / "out" / "training.json").write_text(text)
    with pytest.raises(UsageError, match=r"training\.json.*--restart"):
        begun(store, trainer, tmp_path)


@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_of_other_files_is_never_cleared(store: Store, trainer: Rote, tmp_path: Path, restart: bool) -> None:
    out = tmp_path / "out"
    (out / "week-1").mkdir(parents=True)
    (out / "week-1" / "slides.txt").write_text("mine")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"files that no training made \(week-1\)"):
            begun(store, trainer, tmp_path, restart=restart)
        with pytest.raises(UsageError, match="that no training made"):
            prepare(store, out, trainer, Wishes(), Noted(), restart=restart)
    (out / ".lock").write_text("of another program")
    with pytest.raises(UsageError, match="that no training made"):
        begun(store, trainer, tmp_path, restart=restart)
    assert (out / ".lock").read_text() == "of another program"
    assert (out / "week-1" / "slides.txt").read_text() == "mine"


def test_a_linked_folder_is_never_cleared(store: Store, trainer: Rote, tmp_path: Path) -> None:
    begun(store, trainer, tmp_path)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        begun(store, trainer, tmp_path, restart=True)
    assert (tmp_path / "elsewhere" / "training.json").exists()


def test_restart_removes_nothing_beside_its_folder_nor_behind_a_link(
    store: Store, trainer: Rote, tmp_path: Path
) -> None:
    begun(store, trainer, tmp_path)
    (tmp_path / "beside.txt").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("mine")
    (tmp_path / "out" / "linked").symlink_to(tmp_path / "data")
    begun(store, trainer, tmp_path, restart=True)
    assert not (tmp_path / "out" / "linked").exists()
    assert [(tmp_path / "beside.txt").read_text(), (tmp_path / "data" / "a.txt").read_text()] == ["mine", "mine"]


def test_a_training_that_was_begun_before_folders_were_marked_goes_on(
    store: Store, trainer: Rote, tmp_path: Path
) -> None:
    first = begun(store, trainer, tmp_path, folds=2)
    (tmp_path / "out" / ".lock").write_text("")
    assert begun(store, trainer, tmp_path).data.folds == first.data.folds


def test_one_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with alone(out), pytest.raises(UsageError, match="another process is training"), alone(out):
        pass
    with alone(out):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot write"), alone(tmp_path / "file" / "out"):
        pass
