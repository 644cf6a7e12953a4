"""A tiny training for real: it is measured, goes on where it was broken off, and leaves everybody's files alone."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.training import YoloTrainer
from audit.adapters.ultralytics.weights import find_weights
from audit.core.annotations import Predictions
from audit.errors import ServiceError, UsageError
from audit.ports import PredictItem
from audit.training_ports import Example, Schedule

TINY = Schedule(epochs=2, image_size=64, batch=2)
NAMES = ("square",)


@pytest.fixture(scope="module")
def start() -> Path:
    return find_weights("yolo11n")


@pytest.fixture(scope="module")
def trainer(start: Path) -> YoloTrainer:
    return YoloTrainer(start, "cpu")


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """Five pictures with a bright square; the last has none."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(5):
        pixels = rng.integers(0, 60, (64, 64, 3), np.uint8)
        n = int(i < 4)
        pixels[16 : 16 + 24 * n, 8 : 8 + 24 * n] = 240
        file = tmp_path / f"{i}.jpg"
        Image.fromarray(pixels).save(file)
        xywh = np.array([[20, 28, 24, 24]] * n, np.float32).reshape(-1, 4) / 64
        found.append(Example(file, (64, 64), np.zeros(n, np.int64), xywh))
    return found


def test_batches_are_timed_and_nothing_is_left(trainer: YoloTrainer, examples: list[Example], tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    assert 0.001 < trainer.seconds_per_batch(examples, NAMES, TINY, tmp_path) < 60
    assert sorted(tmp_path.iterdir()) == before


def test_a_training_from_end_to_end(
    trainer: YoloTrainer, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "fold"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    pictures = {e.file: e.file.read_bytes() for e in examples}
    batches: list[None] = []
    weights = trainer.train(examples, NAMES, TINY, folder, on_batch=lambda: batches.append(None))
    assert len(batches) == TINY.epochs * TINY.batches(5) == 6
    assert trainer.epochs_done(folder) == 2
    assert trainer.train(examples, NAMES, TINY, folder, on_batch=lambda: batches.append(None)) == weights
    assert len(batches) == 6
    model = trainer.open(weights, TINY.image_size)
    data = examples[0].file.read_bytes()
    item = PredictItem(frame=0, name="0", image_id=-1, task=-1, number=0, size_hw=(0, 0), sha256="", data=data)
    (found,) = model.predict([item])
    model.close()
    assert model.labels == NAMES
    assert isinstance(found, Predictions)
    # contained: nothing printed, nothing in the working directory or beside the pictures, pictures untouched
    assert capfd.readouterr() == ("", "")
    assert list(elsewhere.iterdir()) == []
    assert {p.name for p in folder.iterdir()} == {"weights.pt", "progress.json", "results.csv", "args.yaml"}
    assert {p: p.read_bytes() for p in pictures} == pictures
    assert sorted(p.name for p in tmp_path.iterdir()) == [*(f"{i}.jpg" for i in range(5)), "elsewhere", "fold"]


class _KilledError(Exception):
    pass


def test_it_goes_on_after_the_last_whole_epoch(trainer: YoloTrainer, examples: list[Example], tmp_path: Path) -> None:
    longer = Schedule(epochs=4, image_size=64, batch=2)
    batches: list[int] = []

    def killed_in_the_third_epoch() -> None:
        batches.append(trainer.epochs_done(tmp_path / "fold"))
        if len(batches) == 8:
            raise _KilledError

    with pytest.raises(_KilledError):
        trainer.train(examples, NAMES, longer, tmp_path / "fold", on_batch=killed_in_the_third_epoch)
    assert batches == [0, 0, 0, 1, 1, 1, 2, 2]
    assert trainer.epochs_done(tmp_path / "fold") == 2
    (tmp_path / "fold" / "last.part").write_bytes(b"half a file")
    moved = tmp_path / "moved"
    (tmp_path / "fold").rename(moved)
    rest: list[None] = []
    trainer.train(examples, NAMES, longer, moved, on_batch=lambda: rest.append(None))
    assert len(rest) == 6
    with (moved / "results.csv").open() as stream:
        assert [int(r["epoch"]) for r in csv.DictReader(stream)] == [1, 2, 3, 4]


def test_the_same_seed_gives_the_same_weights(trainer: YoloTrainer, examples: list[Example], tmp_path: Path) -> None:
    item = PredictItem(frame=0, name="0", image_id=-1, task=-1, number=0, size_hw=(0, 0), sha256="",
                       data=examples[0].file.read_bytes())  # fmt: skip
    once = Schedule(epochs=1, image_size=64, batch=2)
    found = []
    for name in "ab":
        model = trainer.open(trainer.train(examples, NAMES, once, tmp_path / name, on_batch=lambda: None), 64)
        found += [p for p in model.predict([item]) if isinstance(p, Predictions)]
        model.close()
    assert np.array_equal(found[0].score, found[1].score)
    assert np.array_equal(found[0].xyxy, found[1].xyxy)


def test_a_checkpoint_that_cannot_be_read(trainer: YoloTrainer, examples: list[Example], tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"nonsense")
    (tmp_path / "progress.json").write_text('{"epochs": 1}')
    with pytest.raises(ServiceError, match=r"last\.pt cannot be read; delete the folder"):
        trainer.train(examples, NAMES, TINY, tmp_path, on_batch=lambda: None)


def test_a_picture_that_went_away(trainer: YoloTrainer, examples: list[Example], tmp_path: Path) -> None:
    examples[1].file.unlink()
    with pytest.raises(ServiceError, match=r"training failed.*1\.jpg"):
        trainer.train(examples, NAMES, TINY, tmp_path / "fold", on_batch=lambda: None)


@pytest.mark.parametrize("name", ["x.onnx", "x.yaml", "x.pt"])
def test_weights_that_cannot_be_begun_with(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(UsageError, match=name):
        YoloTrainer(tmp_path / name, "cpu")


def test_weights_for_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seg.pt"
    load_ultralytics().YOLO("yolo11n-seg.yaml").save(str(path))
    with pytest.raises(UsageError, match="is a model for 'segment'"):
        YoloTrainer(path, "cpu")


@pytest.mark.parametrize("device", ["cuda:77", "toaster", "0,1"])
def test_a_device_that_is_not_there(start: Path, device: str) -> None:
    with pytest.raises(UsageError, match=device):
        YoloTrainer(start, device)
