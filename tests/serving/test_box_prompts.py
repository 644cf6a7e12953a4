"""SAM on a picture's rectangles: LiteMedSAM's real weights, the other architectures with random ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.pictures import decode_rgb
from audit.core.masks import decode, encode
from audit.loop.masks_of_boxes import Limits, judged
from audit.serving import box_prompts
from audit.serving.box_prompts import BoxSegmenter
from audit.serving.embeddings import Embedding
from audit.serving.sam_networks import Network, Prompts, open_sam
from tests.annotating.scene import SIDE, discs
from tests.serving.cases import iou
from tests.serving.test_sam import BLOOD, random_weights

DISC, RING = [28.0, 28, 92, 92], [97.0, 97, 183, 183]


@pytest.fixture(scope="module")
def lite() -> Network:
    return open_sam("lite_medsam", device="cpu")


def test_a_batch_gives_what_one_by_one_gives(lite: Network) -> None:
    embedding = lite.encode(decode_rgb(discs(1)["000.png"]))
    boxes = np.array([DISC, RING, [10.0, 120, 60, 180]])
    together = lite.decode_boxes(embedding, boxes)
    for i, box in enumerate(boxes):
        alone = lite.decode(embedding, Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), box))
        assert np.abs(together.logits[i] - alone.logits[0]).max() < 1e-2
        assert abs(float(together.score[i] - alone.score[0])) < 1e-3


@pytest.mark.parametrize("kind", ["mobile_sam", "sam2_t"])
def test_the_other_architectures_take_boxes_in_batches(kind: str, tmp_path: Path) -> None:
    network = open_sam(str(random_weights(kind, tmp_path)), device="cpu", runtime="torch")
    embedding = network.encode(decode_rgb(discs(1)["000.png"]))
    boxes = np.array([DISC, RING])
    together = network.decode_boxes(embedding, boxes)
    assert together.logits.shape == (2, 256, 256)
    alone = network.decode(embedding, Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), boxes[1]))
    assert np.abs(together.logits[1] - alone.logits[0]).max() < 1e-2 * max(np.abs(alone.logits).max(), 1)


def test_discs_are_cut_out_and_the_encoder_runs_once(lite: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    real = lite.encode

    def counted(rgb: NDArray[np.uint8]) -> Embedding:
        runs.append(1)
        return real(rgb)

    monkeypatch.setattr(lite, "encode", counted)
    monkeypatch.setattr(box_prompts, "BOXES_AT_ONCE", 2)
    found = BoxSegmenter(lite).cut(discs(1)["000.png"], (SIDE, SIDE), np.tile(np.array([DISC]), (3, 1)))
    assert (len(found), len(runs)) == (3, 1)
    y, x = np.mgrid[:SIDE, :SIDE]
    truth = (x + 0.5 - 60) ** 2 + (y + 0.5 - 60) ** 2 < 900
    for cut in (found[0], found[-1]):
        assert not isinstance(cut, str)
        assert cut.counts is not None
        assert iou(decode(cut.counts, (SIDE, SIDE)), truth) > 0.9
        assert judged(0, (28.0, 28.0, 92.0, 92.0), cut, (SIDE, SIDE), Limits()).poor == ""


def test_what_is_no_picture_is_told(lite: Network) -> None:
    assert "image" in str(BoxSegmenter(lite).cut(b"nothing", (SIDE, SIDE), np.array([DISC])))


def test_white_blood_cells_with_the_real_weights(lite: Network) -> None:
    if not BLOOD.is_dir():
        pytest.skip("the shared data is not here")
    data = (BLOOD / "images" / "BloodImage_00000.jpg").read_bytes()
    found = BoxSegmenter(lite).cut(data, (480, 640), np.array([[260.0, 177, 491, 376]]))
    cut = found[0]
    assert not isinstance(cut, str)
    assert judged(0, (260.0, 177.0, 491.0, 376.0), cut, (480, 640), Limits()).poor == ""


def test_an_outline_says_what_it_leaves_out(lite: Network) -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:40] = True
    mask[20:30, 20:30] = False
    mask[10:30, 60:70] = True
    made = BoxSegmenter(lite).outline(encode(mask), (60, 80))
    assert made.note == "1 hole filled (8% of the mask), 1 other part left out (15% of the mask)"
    assert 3 <= len(made.ring) <= 200
    assert BoxSegmenter(lite).outline(encode(mask[10:20, 10:20]), (10, 10)).note == ""
