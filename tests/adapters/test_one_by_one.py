"""A predictor that looks at one picture after the other."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.adapters.one_by_one import OneByOne
from audit.core.annotations import Predictions
from audit.ports import PredictItem


class Brightest(OneByOne):
    def look(self, name: str, rgb: NDArray[np.uint8]) -> Predictions | str:
        return "too dark" if rgb.max() < 10 else Predictions(xyxy=[[0, 0, *rgb.shape[1::-1]]], label=[0], score=[0.5])  # type: ignore[arg-type]  # converted


def item(data: bytes) -> PredictItem:
    return PredictItem(frame=0, name="x", image_id=-1, task=-1, number=0, size_hw=(0, 0), sha256="", data=data)


def picture(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_each_picture_has_its_answer_and_a_bad_one_is_told() -> None:
    with_both = Brightest()
    assert with_both.predict([]) == []
    good, dark, bad, none = with_both.predict([item(picture(200)), item(picture(0)), item(b"no picture"), item(b"")])
    assert isinstance(good, Predictions) and good.xyxy.tolist() == [[0, 0, 6, 4]]
    assert dark == "too dark"
    assert isinstance(bad, str) and isinstance(none, str) and bad != "too dark" != none
    with_both.close()
