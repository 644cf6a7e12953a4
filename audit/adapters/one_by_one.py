"""Predictors that look at one picture after the other and hold nothing between two of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import PictureError, decode_rgb
from audit.core.annotations import Predictions
from audit.ports import PredictItem


class OneByOne(ABC):
    """What such a predictor (see ``audit.ports.Predictor``) need not say itself."""

    needs_images = True
    batch_size = 8

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One entry per item: its predictions, or why there are none; that does not end the run."""
        return [self._one(item) for item in items]

    def close(self) -> None:  # noqa: B027  nothing is held, so most need no other
        """Nothing is held."""

    @abstractmethod
    def look(self, name: str, rgb: NDArray[np.uint8]) -> Predictions | str:
        """What is in one picture (h, w, 3) of this name."""

    def _one(self, item: PredictItem) -> Predictions | str:
        try:
            rgb = decode_rgb(item.data or b"", item.size_hw)
        except PictureError as error:
            return str(error)
        return self.look(item.name, rgb)
