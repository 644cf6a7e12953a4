import numpy as np
import pytest

from audit.core.annotations import Annotations, Predictions
from audit.core.table import objects, present


def test_empty_tables_have_their_columns() -> None:
    empty = Annotations()
    assert len(empty) == 0
    assert empty.xyxy.shape == (0, 4)
    assert empty.label.dtype == np.int64


def test_columns_left_out_get_their_default() -> None:
    one = Annotations(xyxy=[[0, 0, 1, 1]], frame=[0], label=[2], annotation_id=[7])
    assert one.source.tolist() == ["manual"]
    assert not one.crowd[0]


def test_a_required_column_must_be_given() -> None:
    with pytest.raises(ValueError, match="'score' is required"):
        Predictions(xyxy=[[0, 0, 1, 1]], label=[0])


def test_lengths_and_widths_are_checked() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Predictions(xyxy=[[0, 0, 1, 1]], label=[0, 1], score=[1])
    with pytest.raises(ValueError, match="expected"):
        Predictions(xyxy=[[0, 0, 1]], label=[0], score=[1])


def test_columns_cannot_be_written() -> None:
    table = Predictions(xyxy=[[0, 0, 1, 1]], label=[0], score=[1])
    with pytest.raises(ValueError, match="read-only"):
        table.score[0] = 0


@pytest.mark.parametrize("index", [slice(0, 1), np.array([0]), np.array([True, False])])
def test_rows_of_a_table_cannot_be_written(index: slice | np.ndarray) -> None:
    rows = Predictions(xyxy=np.zeros((2, 4)), label=[0, 1], score=[1, 0])[index]
    assert len(rows) == 1
    for name in ("xyxy", "score", "model"):
        with pytest.raises(ValueError, match="read-only"):
            rows.columns()[name][0] = 0


def test_a_boolean_index_of_another_length_is_refused() -> None:
    table = Predictions(xyxy=np.zeros((2, 4)), label=[0, 1], score=[1, 0])
    with pytest.raises(IndexError, match="3 rows for a table of 2"):
        table[np.array([True, False, True])]


def test_the_callers_array_stays_writeable() -> None:
    score = np.array([0.5])
    Predictions(xyxy=[[0, 0, 1, 1]], label=[0], score=score)
    score[0] = 1


def test_indexing_and_concat_keep_rows_together() -> None:
    table = Predictions(xyxy=np.arange(12).reshape(3, 4), label=[0, 1, 2], score=[0.1, 0.2, 0.3])
    back = Predictions.concat([table[np.array([True, False, False])], table[1:]])
    assert back.label.tolist() == [0, 1, 2]
    assert np.array_equal(back.xyxy, table.xyxy)
    assert len(Predictions.concat([])) == 0


def test_objects_keep_sequences_of_one_length() -> None:
    rings = (np.zeros((3, 2)),)
    assert objects([rings, rings]).shape == (2,)
    assert objects([]).shape == (0,)
    assert objects([None, b"x"]).tolist() == [None, b"x"]


def test_a_column_that_was_left_out_takes_no_memory_and_stays_so() -> None:
    n = 1000
    table = Predictions(xyxy=np.ones((n, 4)), label=np.zeros(n), score=np.ones(n))
    for rows in (slice(2, 900), np.arange(0, n, 3), np.arange(n) % 2 == 0):
        part = table[rows]
        assert len(part.mask) == len(part) == len(part.score)
        assert part.mask.strides == part.model.strides == (0,)
        assert part.mask.tolist() == [None] * len(part)
    assert table[:0].model.tolist() == []
    assert Predictions.concat([table, table]).model.tolist() == [0] * 2 * n
    with pytest.raises(ValueError, match="read-only"):
        table.model[0] = 1


@pytest.mark.parametrize("values", [[], [None], [b""], [None, b"x", None], [None] * 3])
def test_rows_that_hold_something(values: list[bytes | None]) -> None:
    assert present(objects(values)).tolist() == [v is not None for v in values]
    boxes = Predictions(xyxy=np.ones((4, 4)), label=np.zeros(4), score=np.ones(4))
    assert not present(boxes.mask).any()
    assert len(present(boxes.mask)) == 4
