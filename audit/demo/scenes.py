"""The photographs, what a person sees on them, and the mistakes that are planted.

Boxes are xyxy in pixels. They were drawn by eye on each photograph and checked by drawing them on it,
not taken from a model. Only the project's labels are marked. Left out are what COCO would call a
crowd (the blurred spectators in zidane.jpg) and what cannot be named with certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.core.findings import FindingType

LABELS = (
    "bench",
    "bicycle",
    "bus",
    "cat",
    "cup",
    "dining table",
    "dog",
    "motorcycle",
    "person",
    "spoon",
    "tie",
    "truck",
)
"""The project's labels: names of COCO classes, so that a COCO model needs no mapping."""


@dataclass(frozen=True)
class Shape:
    """A rectangle. box: xyxy in pixels."""

    label: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A photograph. package, path: where an installed package keeps it. size_wh: its pixels. objects: the truth."""

    package: str
    path: str
    size_wh: tuple[int, int]
    objects: tuple[Shape, ...]

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Mistake:
    """One planted mistake.

    was: the true object it touches, ``None`` if it is invented. now: what the export says instead,
    ``None`` if the label is dropped; for a duplicate it stands beside ``was``. hard: why a small
    detector will probably not see it, "" otherwise.
    """

    type: FindingType
    image: str
    what: str
    was: Shape | None = None
    now: Shape | None = None
    hard: str = ""


BUS = Shape("bus", (3, 231, 801, 738))
MAN_IN_BEIGE = Shape("person", (51, 400, 245, 900))
MAN_ON_THE_RIGHT = Shape("person", (669, 395, 810, 880))
BALCONY_BICYCLE = Shape("bicycle", (672, 17, 739, 81))
SECOND_TIE = Shape("tie", (985, 318, 1022, 420))
CAMERAMAN = Shape("person", (0, 62, 332, 512))
CAT = Shape("cat", (0, 0, 399, 300))
CUP = Shape("cup", (172, 18, 410, 309))
LEFT_MOTORCYCLE = Shape("motorcycle", (99, 19, 684, 452))
RIGHT_MOTORCYCLE = Shape("motorcycle", (47, 15, 629, 451))

SCENES = (
    Scene(
        "ultralytics",
        "assets/bus.jpg",
        (810, 1080),
        (
            BUS,
            MAN_IN_BEIGE,
            Shape("person", (223, 406, 343, 860)),
            MAN_ON_THE_RIGHT,
            Shape("person", (0, 553, 78, 875)),
            BALCONY_BICYCLE,
        ),
    ),
    Scene(
        "ultralytics",
        "assets/zidane.jpg",
        (1280, 720),
        (
            Shape("person", (122, 202, 1152, 720)),
            Shape("person", (749, 42, 1120, 720)),
            Shape("tie", (436, 437, 507, 720)),
            SECOND_TIE,
        ),
    ),
    Scene("skimage", "data/astronaut.png", (512, 512), (Shape("person", (18, 15, 366, 512)),)),
    Scene("skimage", "data/camera.png", (512, 512), (CAMERAMAN,)),
    Scene("skimage", "data/chelsea.png", (451, 300), (CAT,)),
    Scene(
        "skimage",
        "data/coffee.png",
        (600, 400),
        (CUP, Shape("spoon", (325, 66, 425, 326)), Shape("dining table", (0, 0, 600, 400))),
    ),
    Scene(
        "skimage",
        "data/motorcycle_left.png",
        (741, 500),
        (LEFT_MOTORCYCLE, Shape("bench", (42, 104, 294, 310)), Shape("bicycle", (0, 109, 142, 230))),
    ),
    Scene(
        "skimage",
        "data/motorcycle_right.png",
        (741, 500),
        (RIGHT_MOTORCYCLE, Shape("bench", (17, 104, 270, 309)), Shape("bicycle", (0, 125, 108, 230))),
    ),
    Scene("skimage", "data/rocket.jpg", (640, 427), ()),
    Scene("sklearn", "datasets/images/flower.jpg", (640, 427), ()),
)

MISTAKES = (
    Mistake(FindingType.MISSING_ANNOTATION, "bus.jpg", "man at the right edge not labelled", MAN_ON_THE_RIGHT),
    Mistake(
        FindingType.MISSING_ANNOTATION,
        "bus.jpg",
        "bicycle on the balcony not labelled",
        BALCONY_BICYCLE,
        hard="67 px wide, behind a railing",
    ),
    Mistake(FindingType.MISMATCHING_LABEL, "bus.jpg", "bus labelled as a truck", BUS, Shape("truck", BUS.box)),
    Mistake(
        FindingType.LOW_OVERLAP,
        "bus.jpg",
        "box of the man in beige slipped to the lower right",
        MAN_IN_BEIGE,
        Shape("person", (96, 440, 290, 940)),
    ),
    Mistake(
        FindingType.MISSING_ANNOTATION,
        "zidane.jpg",
        "second man's tie not labelled",
        SECOND_TIE,
        hard="37 px wide, half hidden, dark on dark",
    ),
    Mistake(
        FindingType.INVALID_SHAPE,
        "zidane.jpg",
        "box without width",
        now=Shape("person", (640, 300, 640, 420)),
    ),
    Mistake(
        FindingType.LOW_OVERLAP,
        "camera.png",
        "box ends at the man's waist",
        CAMERAMAN,
        Shape("person", (0, 62, 332, 330)),
    ),
    Mistake(FindingType.MISMATCHING_LABEL, "chelsea.png", "cat labelled as a dog", CAT, Shape("dog", CAT.box)),
    Mistake(
        FindingType.LOW_OVERLAP,
        "coffee.png",
        "box of the cup slipped to the lower right",
        CUP,
        Shape("cup", (212, 58, 450, 349)),
    ),
    Mistake(
        FindingType.DUPLICATE_ANNOTATION,
        "motorcycle_left.png",
        "motorcycle labelled twice",
        LEFT_MOTORCYCLE,
        Shape("motorcycle", (103, 24, 680, 455)),
    ),
    Mistake(FindingType.MISSING_ANNOTATION, "motorcycle_right.png", "motorcycle not labelled", RIGHT_MOTORCYCLE),
    Mistake(
        FindingType.EXTRA_ANNOTATION,
        "rocket.jpg",
        "rocket labelled as a person",
        now=Shape("person", (309, 126, 336, 407)),
    ),
    Mistake(
        FindingType.EXTRA_ANNOTATION,
        "flower.jpg",
        "flower labelled as a cup",
        now=Shape("cup", (169, 85, 446, 360)),
    ),
)
