"""Fitting a frame into a network's input, and boxes back into the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.adapters.ultralytics.environment import load_opencv

GREY = 114
"""Value of the padding around a frame; YOLO models are trained with it."""


@dataclass(frozen=True)
class Placement:
    """Where a frame lies in the network's input. All sizes are (height, width) in pixels."""

    frame_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    input_hw: tuple[int, int]
    top: int
    left: int

    @property
    def gain_yx(self) -> tuple[float, float]:
        """Input pixels per frame pixel, down and across (they differ by the rounding of the scaled size)."""
        return self.scaled_hw[0] / self.frame_hw[0], self.scaled_hw[1] / self.frame_hw[1]

    def to_frame(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) of the input as boxes of the frame, clipped to it."""
        gain_y, gain_x = self.gain_yx
        h, w = self.frame_hw
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        gain = np.array([gain_x, gain_y, gain_x, gain_y], np.float32)
        return np.asarray(np.clip((xyxy - shift) / gain, 0, [w, h, w, h]), np.float32)


def place(frame_hw: tuple[int, int], target_hw: tuple[int, int], stride: int | None) -> Placement:
    """Scale to fit ``target_hw`` keeping the shape, centred. stride: pad each side only up to the next

    multiple of it (models that take any size); None: pad to the whole target (models of fixed size).
    """
    gain = min(target_hw[0] / frame_hw[0], target_hw[1] / frame_hw[1])
    scaled = [max(round(side * gain), 1) for side in frame_hw]
    spare = [target - side for target, side in zip(target_hw, scaled, strict=True)]
    if stride is not None:
        spare = [s % stride for s in spare]
    # the odd pixel goes below and to the right
    return Placement(
        frame_hw=frame_hw,
        scaled_hw=(scaled[0], scaled[1]),
        input_hw=(scaled[0] + spare[0], scaled[1] + spare[1]),
        top=spare[0] // 2,
        left=spare[1] // 2,
    )


def network_input(rgb: NDArray[np.uint8], placement: Placement) -> NDArray[np.float32]:
    """The frame (h, w, 3) scaled and padded, as (1, 3, H, W) in [0, 1]."""
    h, w = placement.scaled_hw
    if (h, w) != placement.frame_hw:
        cv2 = load_opencv()
        rgb = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_LINEAR)
    planes = np.full((1, 3, *placement.input_hw), GREY, np.uint8)
    planes[0, :, placement.top : placement.top + h, placement.left : placement.left + w] = rgb.transpose(2, 0, 1)
    return np.asarray(np.divide(planes, 255, dtype=np.float32))
