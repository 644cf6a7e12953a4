"""``functions render``: a folder from weights that CVAT can list and that answers over HTTP."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

import yaml

from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.weights import find_weights
from audit.cli import cli
from audit.errors import ServiceError, UsageError
from audit.serving import rendering
from audit.serving.host.config import LONGEST_LABEL, annotation_fault, read_function
from audit.serving.rendering import CODE, FILES, Rendering, render
from tests.serving.cases import Client, encoded, picture


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as a user's training leaves them, untrained: two classes of odd names, by ultralytics itself."""
    ultralytics = load_ultralytics()
    folder = tmp_path_factory.mktemp("weights")
    model = ultralytics.YOLO("yolo11n.yaml")
    model.model.names = {0: 'car: "big"', 1: "Fußgänger"}
    model.model.yaml["nc"] = 80
    model.save(str(folder / "best.pt"))
    return folder / "best.pt"


@pytest.fixture(scope="module")
def known() -> Path:
    return find_weights("yolo11n")


def test_the_folder_holds_all_that_nuclio_needs(known: Path, tmp_path: Path) -> None:
    wanted = Rendering("our-yolo", "Our <b>YOLO</b>", 0.4, {"person": "Pedestrian"}, "score")
    done = render(str(known), wanted, tmp_path)
    assert done.folder == tmp_path / "our-yolo"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["our-yolo"]
    assert {p.name for p in done.folder.iterdir()} == {*FILES, *CODE, "cvat_function.py", done.weights.name}
    assert done.weights.read_bytes() == known.read_bytes()
    assert (done.labels[0], len(done.labels), done.task) == ("Pedestrian", 80, "detect")
    for name, image in (("function.yaml", "cvat-audit-our-yolo"), ("function-gpu.yaml", "cvat-audit-our-yolo-gpu")):
        config = read_function(done.folder / name)
        assert (config.name, config.annotations["name"]) == ("our-yolo", "Our <b>YOLO</b>")
        assert config.env["YOLO_MODEL"] == done.weights.name
        assert config.env["YOLO_THRESHOLD"] == "0.4"
        assert json.loads(config.env["YOLO_LABELS"]) == {"person": "Pedestrian"}
        spec = json.loads(config.annotations["spec"])
        assert [row["name"] for row in spec[:2]] == ["Pedestrian", "bicycle"]
        assert spec[0]["attributes"] == [{"name": "score", "input_type": "text", "values": []}]
        assert yaml.safe_load((done.folder / name).read_text())["spec"]["build"]["image"] == image
    assert "nvidia.com/gpu" in (done.folder / "function-gpu.yaml").read_text()


def test_labels_are_those_that_the_weights_hold(own: Path, tmp_path: Path) -> None:
    done = render(str(own), Rendering("own"), tmp_path)
    spec = json.loads(read_function(done.folder).annotations["spec"])
    assert [row["name"] for row in spec] == ['car: "big"', "Fußgänger"]
    assert "YOLO_LABELS" not in read_function(done.folder).env
    merged = render(str(own), Rendering("merged", names={'car: "big"': "any", "Fußgänger": "any"}), tmp_path)
    assert merged.labels == ("any",)
    assert [row["name"] for row in json.loads(read_function(merged.folder).annotations["spec"])] == ["any"]


def test_the_rendered_function_answers_under_its_new_names(known: Path, tmp_path: Path) -> None:
    pytest.importorskip("nuclio_sdk", reason="nuclio-sdk is not installed")
    from audit.serving.host.serve import Host

    done = render(str(known), Rendering("our-yolo", names={"person": "Pedestrian"}, score_attribute="score"), tmp_path)
    bus = (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()
    with Host([done.folder], port=0, say=print) as host:
        host.wait_ready()
        client = Client(host.port)
        status, _, text = client.invoke("our-yolo", {"image": encoded(bus)})
        assert client.invoke("our-yolo", {"image": picture(), "threshold": 0.99})[2] in (b"[]", "[]")
    found: list[dict[str, Any]] = json.loads(text)
    assert status == 200
    assert {"Pedestrian", "bus"} <= {item["label"] for item in found}
    assert all(item["attributes"] == [{"name": "score", "value": item["confidence"]}] for item in found)


@pytest.mark.parametrize("name", ["", "Our", "a b", "-a", "a" * 64, "../up", "pth_x"])
def test_names_that_nuclio_or_a_folder_cannot_have_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--name"):
        render("yolo11n", Rendering(name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_kept_unless_it_is_to_be_replaced(own: Path, tmp_path: Path) -> None:
    folder = render(str(own), Rendering("own"), tmp_path).folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        render(str(own), Rendering("own"), tmp_path)
    assert (folder / "notes.txt").exists()
    render(str(own), Rendering("own"), tmp_path, replace=True)
    assert not (folder / "notes.txt").exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_replace_leaves_every_folder_alone_that_it_did_not_make(own: Path, tmp_path: Path) -> None:
    for name, files in (
        ("src", {"main.py": "mine"}),
        ("empty", {}),
        ("by-hand", {"function.yaml": "metadata: {name: by-hand}", "main.py": "mine"}),
        ("said-later", {"function.yaml": f"metadata: {{}}\n{rendering.MADE_BY}\n"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        before = contents(folder)
        with pytest.raises(UsageError, match=r"was not made by 'cvat-audit functions render'"):
            render(str(own), Rendering(name), tmp_path, replace=True)
        assert (folder.is_dir(), contents(folder)) == (True, before)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="was not made by"):
        render(str(own), Rendering("file"), tmp_path, replace=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_replace_follows_no_link(own: Path, tmp_path: Path) -> None:
    made = render(str(own), Rendering("own"), tmp_path).folder
    before = contents(made)
    (tmp_path / "linked").symlink_to(made)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "function.yaml").symlink_to(made / "function.yaml")
    for name in ("linked", "dangling", "inner"):
        with pytest.raises(UsageError, match="was not made by"):
            render(str(own), Rendering(name), tmp_path, replace=True)
        with pytest.raises(UsageError, match="exists"):
            render(str(own), Rendering(name), tmp_path)
    assert contents(made) == before
    # a link inside of what we made is removed, what it points to is not
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "data.txt").write_text("mine")
    (made / "data").symlink_to(tmp_path / "outside")
    render(str(own), Rendering("own"), tmp_path, replace=True)
    assert (tmp_path / "outside" / "data.txt").read_text() == "mine"
    assert not (made / "data").exists()


def test_a_folder_can_be_replaced_by_its_own_weights(own: Path, tmp_path: Path) -> None:
    first = render(str(own), Rendering("own"), tmp_path)
    again = render(str(first.weights), Rendering("own", title="Again"), tmp_path, replace=True)
    assert read_function(again.folder).annotations["name"] == "Again"
    assert again.weights.read_bytes() == own.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["own"]


def test_what_fails_before_the_end_leaves_the_old_folder(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = render(str(own), Rendering("own"), tmp_path).folder
    before = contents(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rendering, "_rewrite", full)
    with pytest.raises(ServiceError, match="No space left"):
        render(str(own), Rendering("own", title="new"), tmp_path, replace=True)
    assert contents(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_kill_at_any_call_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    from audit.serving import swap

    if not exchange:
        monkeypatch.setattr(swap, "_exchanged", lambda *_: False)
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / folder.name).touch()
    real, calls = Path.rename, []

    def counted(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "rename", counted)
    if exchange and swap._exchanged(new, old):
        assert sorted(p.name for p in old.iterdir()) == ["new"]
        swap.swap(new, old)
        assert calls == []
    else:
        with pytest.raises(KeyboardInterrupt):
            swap.swap(new, old)
    assert sorted(p.name for p in old.iterdir()) == ["old"]
    monkeypatch.setattr(Path, "rename", real)
    swap.swap(new, old)
    assert (sorted(p.name for p in old.iterdir()), sorted(p.name for p in new.iterdir())) == (["new"], ["old"])


def test_what_would_break_cvats_list_leaves_no_folder(own: Path, tmp_path: Path) -> None:
    long = "x" * (LONGEST_LABEL + 1)
    with pytest.raises(UsageError, match="label names of 1 to 64 characters"):
        render(str(own), Rendering("own", names={"Fußgänger": long}), tmp_path)
    with pytest.raises(UsageError, match="no class 'person'"):
        render(str(own), Rendering("own", names={"person": "x"}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(UsageError, match="not a model"):
        render(str(tmp_path / "text.pt"), Rendering("own"), tmp_path / "out")


def test_an_installation_without_the_template_says_so(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering.audit, "__file__", str(tmp_path / "site" / "audit" / "__init__.py"))
    monkeypatch.setattr(rendering.sysconfig, "get_path", lambda _: str(tmp_path / "env"))
    with pytest.raises(ServiceError, match="lacks the function"):
        render(str(own), Rendering("own"), tmp_path / "out")
    shutil.copytree(Path(__file__).parents[2] / "serverless", tmp_path / "env" / rendering.SHIPPED)
    assert render(str(own), Rendering("own"), tmp_path / "out").folder.is_dir()  # as a wheel installs it


def test_the_command_tells_what_it_wrote(own: Path, tmp_path: Path) -> None:
    asked = ["functions", "render", str(own), "--name", "own", "--out", str(tmp_path), "--map", "Fußgänger=Person"]
    result = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert result.exit_code == 0
    assert "boxes for 2 labels: 'car: \"big\"', 'Person'" in result.stderr
    assert annotation_fault("own", read_function(tmp_path / "own").annotations) == ""
