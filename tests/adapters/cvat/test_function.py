"""A detector deployed in CVAT, called through the real SDK on the double."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.function import CvatFunction, _predictions, open_function
from audit.core.annotations import Predictions
from audit.errors import ServiceError, UsageError
from audit.ports import PredictItem
from tests.adapters.cvat.conftest import LABELS, QUICK, photos
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat, FunctionStatus

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cvat" / "convert_lambda.json"
Opener = Callable[..., CvatFunction]


@pytest.fixture
def function(cvat: FakeCvat) -> Iterator[Opener]:
    made: list[CvatFunction] = []

    def opener(name: str, **options: Any) -> CvatFunction:
        options = {"credentials": Credentials(token=ADMIN_TOKEN), "patience": QUICK, **options}
        made.append(open_function(f"{cvat.url}/tasks/1", name, **options))
        return made[-1]

    yield opener
    for one in made:
        one.close()


def item(task: int, number: int = 0) -> PredictItem:
    return PredictItem(0, "photo", -1, task, number, (24, 32), "", None)


def detections(*labels: str) -> Callable[[dict[str, Any]], Any]:
    found = [{"label": x, "type": "rectangle", "points": [1, 2, 20, 12], "confidence": "0.4"} for x in labels]
    return lambda body: found


def rows(result: Predictions | str) -> Predictions:
    assert isinstance(result, Predictions), result
    return result


def test_nothing_found_is_an_empty_table(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("det", "detector", ["person"], lambda body: [])
    task = cvat.add_task("t", photos(1), LABELS)
    detector = function("det")
    assert detector.predict([]) == []
    assert len(rows(detector.predict([item(task)])[0])) == 0
    assert not detector.needs_images


def test_boxes_come_with_the_functions_own_labels_and_a_score_of_one(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("det", "detector", ["tree", "car", "Fussgänger"], detections("car", "Fussgänger", "tree"))
    task = cvat.add_task("t", photos(2), LABELS)
    detector = function("det", mapping={"Fussgänger": "person"})
    assert detector.labels == ("tree", "car", "Fussgänger")
    for result in detector.predict([item(task, 0), item(task, 1)]):
        found = rows(result)
        assert [detector.labels[code] for code in found.label] == ["car", "Fussgänger"]  # the task has no tree
        assert found.xyxy.tolist() == [[1, 2, 20, 12]] * 2
        assert found.score.tolist() == [1, 1]
        assert found.mask.tolist() == [None, None]
    assert "scores" in detector.notes[0]


def test_labels_match_as_everywhere_and_types_as_cvat_wants_them(cvat: FakeCvat, function: Opener) -> None:
    names = ["Traffic Light", "lost", "line"]
    shown = [{"name": n, "type": "rectangle"} for n in names]
    cvat.add_function("det", "detector", shown, detections(*names))
    theirs = [{"name": "traffic-light", "type": "any"}, {"name": "lost"}, {"name": "line", "type": "polyline"}]
    task = cvat.add_task("t", photos(1), theirs)
    found = rows(function("det", mapping={"lost": "no such label"}).predict([item(task)])[0])
    assert found.label.tolist() == [0]


def test_a_detector_is_found_by_its_name_too(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("det-1", "detector", ["car"], detections("car"), name="Car finder")
    assert function("Car finder").name.startswith("Car finder (127")


def test_a_task_that_has_none_of_the_labels_is_not_called_for(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("det", "detector", ["tree"], detections("tree"))
    task = cvat.add_task("t", photos(1), LABELS)
    assert len(rows(function("det").predict([item(task)])[0])) == 0
    assert not any(r.method == "POST" for r in cvat.requests)


def test_the_threshold_reaches_the_function_only_if_given(cvat: FakeCvat, function: Opener) -> None:
    bodies: list[dict[str, Any]] = []
    cvat.add_function("det", "detector", ["car"], lambda body: bodies.append(body) or [])
    task = cvat.add_task("t", photos(1), LABELS)
    function("det").predict([item(task)])
    function("det", threshold=0.3).predict([item(task)])
    assert [body.get("threshold") for body in bodies] == [None, 0.3]


def test_the_digest_follows_function_and_settings(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("a", "detector", ["car"], detections())
    cvat.add_function("b", "detector", ["car", "person"], detections())
    same = {function("a").digest, function("a").digest}
    assert len(same) == 1
    others = {function("b").digest, function("a", threshold=0.5).digest, function("a", mapping={"car": "x"}).digest}
    assert len(same | others | {function("a", labels=("car",)).digest}) == 5


def test_the_recorded_answer_converts() -> None:
    case = json.loads(GOLDEN.read_text(encoding="utf-8"))
    codes = {72: 0, 74: 1, 73: 2, 76: 3}
    found = _predictions(case["answer"], codes, (240, 320))
    assert found.label.tolist() == [0, 1, 2]
    assert found.xyxy.tolist() == [[30.5, 40.25, 120, 200.75], [10, 20, 18, 24], [5, 5, 60, 50]]
    assert found.mask[0] is None
    areas = [int(coco_mask.area({"counts": m, "size": [240, 320]})) for m in found.mask[1:]]
    assert areas == [21, 55 * 45]
    assert np.array_equal(found.score, [1, 1, 1])


def test_an_unknown_function_lists_those_there_are(cvat: FakeCvat, function: Opener) -> None:
    with pytest.raises(UsageError, match="no detector 'det'; there are: none"):
        function("det")
    cvat.add_function("yolo", "detector", ["car"], detections(), name="YOLO")
    cvat.add_function("sam", "interactor", [], detections(), name="SAM")
    for name in ("det", "sam"):
        with pytest.raises(UsageError, match=rf"no detector '{name}'; there are: yolo \(YOLO\)$"):
            function(name)


def test_functions_that_are_down_are_a_service_that_failed(cvat: FakeCvat, function: Opener) -> None:
    cvat.functions_down = True
    with pytest.raises(ServiceError, match="cannot reach its functions"):
        function("det")


def test_a_wrong_token_is_said(function: Opener) -> None:
    with pytest.raises(UsageError, match="does not accept the access token"):
        function("det", credentials=Credentials(token="nope"))


def test_a_frame_on_which_it_fails_is_said_and_the_others_go_on(cvat: FakeCvat, function: Opener) -> None:
    calls = {"n": 0}

    def handler(body: dict[str, Any]) -> Any:
        calls["n"] += 1
        if 2 <= calls["n"] <= 1 + QUICK.attempts:
            raise FunctionStatus(500)
        return detections("car")(body)

    cvat.add_function("det", "detector", ["car"], handler)
    task = cvat.add_task("t", photos(3), LABELS)
    first, second, third = function("det").predict([item(task, n) for n in range(3)])
    assert len(rows(first)) == len(rows(third)) == 1
    assert isinstance(second, str)
    assert f"function 'det' on frame 1 of task {task}" in second


def test_a_function_that_never_works_ends_the_audit(cvat: FakeCvat, function: Opener) -> None:
    def handler(body: dict[str, Any]) -> Any:
        raise FunctionStatus(503)

    cvat.add_function("det", "detector", ["car"], handler)
    task = cvat.add_task("t", photos(4), LABELS)
    with pytest.raises(ServiceError, match="answers 503"):
        function("det").predict([item(task, n) for n in range(4)])


def test_a_frame_that_does_not_exist_is_a_sentence(cvat: FakeCvat, function: Opener) -> None:
    cvat.add_function("det", "detector", ["car"], detections("car"))
    task = cvat.add_task("t", photos(1), LABELS)
    missing, elsewhere = function("det").predict([item(task, 99), item(999)])
    assert isinstance(missing, str)
    assert "refuses (400)" in missing
    assert isinstance(elsewhere, str)
    assert "task 999" in elsewhere


@pytest.mark.parametrize(
    "answer", [b"[]", b"null", b'{"shapes": [{}]}', b'{"shapes": [{"type": "rectangle", "points": [1]}]}']
)
def test_an_answer_that_makes_no_sense_is_a_sentence(cvat: FakeCvat, function: Opener, answer: bytes) -> None:
    cvat.add_function("det", "detector", ["car"], detections("car"))
    task = cvat.add_task("t", photos(1), LABELS)
    detector = function("det")
    cvat.faults.add("/api/lambda/functions/det", method="POST", status=200, body=answer)
    result = detector.predict([item(task)])[0]
    assert isinstance(result, str)
    assert "no usable answer" in result
