"""Weights of the traits of masks before anything is known of the data at hand.

Each kind of mistake has its own, against sound masks. Fitted as those of boxes are (``audit.trust.prior``), to
mistakes planted by ``audit.trust.planting_masks`` into the polygons of coco128-permissive and of the COCO photographs
in the repositories COCO-MINI and COCO_Tiny; predictions: yolo11n's real boxes with simulated masks, on
coco128-permissive two draws and those of LiteMedSAM too. Written by ``scripts/bench masks --fit --also FILES``.
Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, tuple[float, ...]] = {
    # eroded, dilated, shifted, cut, merged, split: as in ``MaskMistake``
    "constant": (-5.08, -4.67, -5.96, -5.83, -7.50, -7.07),
    "prediction score": (-0.19, -0.26, 0.13, -0.79, -0.19, -0.28),
    "prediction score above 0.5": (0.39, -0.21, 0.06, 0.12, -1.09, 0.38),
    "surprising": (-0.53, 0.19, -0.14, -0.77, -0.83, -0.85),
    "surprising and predicted surely": (-0.63, 0.14, -0.13, -1.14, 0.18, -0.59),
    "overlap below 0.85": (1.57, 0.40, 0.62, 1.08, 1.69, 1.57),
    "overlap below 0.7": (-0.26, -0.94, 0.00, -0.21, 0.71, 0.15),
    "overlap below 0.5": (-2.47, 0.41, -1.13, -0.25, -0.48, -2.36),
    "overlap below 0.85 and predicted surely": (-0.49, 0.32, 0.16, 0.39, -0.86, -0.05),
    "overlap below 0.7 and predicted surely": (0.22, -0.27, -0.46, 0.19, 1.05, 0.59),
    "size": (0.57, -0.62, -0.08, 0.30, 0.53, 0.14),
    "rival": (0.77, 0.22, 0.50, 0.32, -2.06, -0.85),
    "covered by a label": (-0.03, 0.31, -0.63, -0.17, -0.42, 0.07),
    "surprise": (0.55, 0.97, 0.49, -0.12, -0.78, -0.07),
    "recall of its label": (0.39, -0.26, -0.28, 0.48, -0.77, 0.78),
    "any name fits better": (-0.46, -1.02, -0.54, -1.45, -1.43, -0.77),
    "second worst side": (-0.61, -0.75, 0.04, 0.21, -0.15, 1.59),
    "sides": (0.55, -0.20, 1.30, 0.31, 0.65, -0.05),
    "sides speak for a slip": (-0.87, 0.40, 0.03, -0.72, -1.87, -0.60),
    "sides speak loudly": (0.55, 0.08, -0.13, 0.66, -0.13, 0.51),
    "sides speak for a slip, predicted surely": (1.04, -0.34, 0.55, -0.50, -1.26, -0.12),
    "worst side": (0.28, -0.76, -0.20, 2.45, 1.97, 1.26),
    "worst side speaks for a slip": (-0.95, -0.53, -1.18, 2.24, 0.27, 1.97),
    "worst side speaks for a slip, predicted surely": (0.58, -0.46, -0.56, 1.82, 1.42, 0.27),
    "width off": (-0.97, -0.60, -0.59, 0.88, 1.03, 0.20),
    "height off": (-0.73, -1.52, -0.58, -0.07, -1.74, 1.56),
    "boundary surprise": (0.37, 2.13, 0.88, -0.65, -0.93, -0.24),
    "boundary surprising": (-0.52, 1.29, 0.48, -0.81, -1.11, -0.27),
    "boundary surprising and predicted surely": (0.68, 1.06, -0.06, 0.94, 1.18, -0.72),
    "box surprise": (-0.19, -0.98, 0.41, 1.06, 0.58, -0.36),
    "box surprising": (-0.30, -0.94, -0.17, 0.31, -0.97, 0.10),
    "box surprising and predicted surely": (0.10, 0.35, -0.46, 0.30, 2.27, 0.09),
    "missing part": (-0.35, -1.05, 0.52, 1.90, -0.43, 1.40),
    "extra part": (-1.11, 0.45, 0.66, -1.47, 3.80, -0.57),
    "grown": (-1.14, 2.12, 0.21, 0.19, -1.22, 0.16),
    "one-sided": (-0.57, 0.75, 0.10, -0.46, -0.97, -1.71),
    "drifted": (1.24, 0.02, -0.48, -0.91, 0.47, -0.34),
    "merged": (-0.16, -0.41, -0.22, 0.19, 1.24, -0.48),
    "merged surely": (-0.07, -0.18, -0.05, 0.09, 2.00, -0.21),
    "split": (-0.87, 1.06, -0.87, -1.84, 0.98, 3.74),
    "outside all round": (-0.74, 1.50, -0.29, 0.06, -0.90, 0.00),
    "inside all round": (0.79, -0.38, -0.07, 0.64, -0.14, 0.46),
    "off all round, predicted surely": (0.13, 0.41, 0.13, 0.21, 0.98, 0.44),
    "gains by growing": (3.43, 1.86, -0.69, -2.24, -0.94, -0.91),
    "gains by growing, predicted surely": (0.49, 0.89, -0.21, -0.31, -0.81, -0.02),
    "gains by growing, by size": (0.79, 1.12, 0.38, -0.45, 0.86, -0.71),
    "gains by moving": (0.42, -0.45, 1.43, -0.83, -2.60, -2.10),
    "gains by moving, predicted surely": (0.44, 0.11, 1.25, 0.20, -0.51, -1.17),
    "gains by moving, by size": (-0.57, -0.18, 0.45, -0.43, 0.38, 0.66),
    "fits once grown": (0.27, 0.81, -0.68, -0.99, -0.86, -0.63),
    "fits once moved": (-2.29, -1.96, 1.66, -0.85, -0.88, -1.48),
    "fits once either, by much": (0.75, 0.32, 1.16, -0.27, -0.40, -0.71),
    "slip": (-1.55, 1.54, -0.24, 1.07, -3.27, 1.08),
    "clear slip": (0.81, -0.03, 0.62, -1.56, 1.35, -0.22),
}
