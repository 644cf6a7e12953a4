import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checks.crossing import looped_share
from audit.checks.invalid import REASONS, faults
from audit.core.annotations import Annotations, ShapeType
from audit.core.table import objects

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
EIGHT = [[0, 0], [10, 10], [10, 0], [0, 10]]


def share(*rings: object) -> list[float]:
    return looped_share([np.array(ring, float).reshape(-1, 2) for ring in rings]).tolist()


def test_nothing_crosses_nothing() -> None:
    assert share() == []
    assert share([], [[1, 1]], [[1, 1], [2, 2]], [[1, 1]] * 5) == [0, 0, 0, 0]
    assert share([[0, 0], [np.nan, 1], [1, 0]], EIGHT) == [0, 0.5]


@pytest.mark.parametrize("ring", [SQUARE, [*SQUARE, SQUARE[0]], SQUARE[::-1], [[0, 0], [10, 0], [5, 1], [5, 9]]])
def test_a_simple_outline_has_no_loop(ring: object) -> None:
    assert share(ring) == [0]


def test_the_smaller_loop_is_measured() -> None:
    assert share(EIGHT, SQUARE, EIGHT[::-1]) == pytest.approx([0.5, 0, 0.5])
    curl = [[0, 0], [20, 0], [20, 20], [9, 20], [9, 30], [11, 30], [11, 10], [0, 10]]  # a loop of 2 x 10 beside 290
    assert share(curl)[0] == pytest.approx(20 / 310)


def test_touching_is_not_crossing() -> None:
    bridge = [[0, 0], [9, 0], [9, 9], [0, 9], [0, 5], [3, 5], [3, 6], [6, 6], [6, 3], [3, 3], [3, 5], [0, 5]]
    pinched = [[0, 0], [5, 5], [10, 0], [10, 10], [5, 5], [0, 10]]
    assert share(bridge, pinched) == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=14), st.integers(0, 13))
def test_start_and_place_do_not_matter(points: list[tuple[int, int]], turn: int) -> None:
    ring = np.array(points, float).reshape(-1, 2)
    value = looped_share([ring])[0]
    assert 0 <= value <= 0.5
    assert looped_share([np.roll(ring, turn, axis=0)])[0] == pytest.approx(value, abs=1e-9)
    assert looped_share([np.add(ring, [1000, 500])])[0] == pytest.approx(value, abs=1e-6)
    assert looped_share([ring[:, ::-1] * 3])[0] == pytest.approx(value, abs=1e-9)


@given(st.lists(st.tuples(st.floats(1, 50), st.floats(0, 6.2)), min_size=3, max_size=20))
def test_a_star_shaped_outline_never_crosses_itself(spokes: list[tuple[float, float]]) -> None:
    angle = np.unique([a for _, a in spokes])
    radius = np.array([r for r, _ in spokes])[: len(angle)]
    if len(angle) < 3 or np.diff(np.append(angle, angle[0] + 2 * np.pi)).max() >= np.pi:
        return  # not around its centre
    ring = 60 + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    assert looped_share([ring])[0] == 0


def test_it_is_a_fault_of_polygons_in_proportion_to_the_loop() -> None:
    rings = [EIGHT, SQUARE, EIGHT, [[0, 0], [20, 0], [20, 20], [9, 20], [9, 30], [11, 30], [11, 10], [0, 10]]]
    shapes = [ShapeType.POLYGON, ShapeType.POLYGON, ShapeType.POLYLINE, ShapeType.POLYGON]
    a = Annotations(
        xyxy=[[0.0, 0, 20, 30]] * 4,
        frame=[0] * 4,
        label=[0] * 4,
        annotation_id=[1, 2, 3, 4],
        shape=shapes,
        points=objects((np.array(r, float),) for r in rings),
    )
    reason, score = faults(a, np.array([[50, 50]]))
    crossed = REASONS.index("the outline crosses itself")
    assert reason.tolist() == [crossed, 0, 0, crossed]
    assert score.tolist() == pytest.approx([1, 0, 0, 40 / 310])
