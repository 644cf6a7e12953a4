"""The review's addresses in the App's server, and the folder of plugins it is started with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from audit import decisions
from audit.adapters.fiftyone import review_app
from audit.adapters.fiftyone.review_app import PLUGIN_LINK, PLUGINS_DIR, plugins_dir, review_server
from audit.adapters.fiftyone.review_outlook import EVERY
from audit.errors import UsageError
from audit.review import BLIND, Plan, Review
from tests.report.conftest import real_tables, save_run
from tests.test_review_blind import write

starlette = pytest.importorskip("starlette", reason="comes with the extra 'fiftyone'")


class Client:
    """Calls one session's addresses as a page of the App does."""

    def __init__(self, review: Review) -> None:
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from audit.adapters.fiftyone.review_routes import PREFIX, ReviewRoutes

        self.routes = ReviewRoutes(review)
        self.http = TestClient(Starlette(routes=[self.routes.mount()]), base_url=f"http://127.0.0.1{PREFIX}")
        self.headers = {"X-Cvat-Audit-Token": self.routes.token}

    def post(self, name: str, body: Any) -> Any:
        return self.http.post(f"/{name}", json=body, headers=self.headers)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(Review(save_run(tmp_path, **real_tables(tmp_path)), "ann"))
    yield made
    made.routes.spots.close()


def test_every_finding_can_be_asked_shown_answered_and_taken_back(client: Client) -> None:
    told = client.http.get("/session").json()
    assert told["token"] == client.routes.token
    assert told["reviewer"] == "ann"
    items = client.post("ask", {"number": 16}).json()["items"]
    assert len(items) == len(client.routes.review.findings)
    for item in items:
        assert item["photo"] in ("", f"/cvat-audit/photo/{item['id']}")
        photo = client.http.get(f"/photo/{item['id']}")
        if item["photo"]:
            assert Image.open(io.BytesIO(photo.content)).format == "JPEG"
            assert photo.headers["cross-origin-resource-policy"] == "same-origin"
        else:
            assert photo.status_code == 404
            assert item["problem"]
        assert item["question"]["text"].endswith(("?", "%)"))
    assert {i["problem"] != "" for i in items} == {True, False}
    left = [client.post("answer", {"finding": i["id"], "answer": "no", "seconds": 2}).json() for i in items]
    assert [told["counts"]["left"] for told in left] == list(range(len(items)))[::-1]
    assert len(decisions.read(client.routes.review.run.path)) == len(items)
    back = client.post("undo", {}).json()
    assert back["items"][0]["id"] == items[-1]["id"]
    assert back["counts"]["left"] == 1


@pytest.mark.parametrize("name", ["ask", "answer", "undo"])
@pytest.mark.parametrize(
    "headers", [{}, {"X-Cvat-Audit-Token": "guess"}, {"X-Cvat-Audit-Token": "gu\u00e9ss".encode()}]
)
def test_without_the_token_nothing_is_handed_out_or_written(client: Client, name: str, headers: Any) -> None:
    refused = client.http.post(f"/{name}", json={"finding": "x", "answer": "yes"}, headers=headers)
    assert refused.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_pages_get_neither_the_token_nor_a_photo(client: Client, site: str) -> None:
    finding = client.post("ask", {"number": 1}).json()["items"][0]["id"]
    headers = {"Sec-Fetch-Site": site, **client.headers}
    assert client.http.get("/session", headers=headers).status_code == 403
    assert client.http.get(f"/photo/{finding}", headers=headers).status_code == 403
    assert client.http.post("/undo", json={}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("answer", {"finding": "nowhere", "answer": "yes"}),
        ("answer", {"answer": "perhaps"}),
        ("answer", {"seconds": []}),
        ("ask", {"number": "many"}),
        ("ask", {"filter": 7}),
        ("ask", {"filter": {"job": "x"}}),
        ("ask", []),
        ("ask", {"known": "x" * 1_100_000}),
    ],
)
def test_what_is_not_understood_is_one_line(client: Client, name: str, body: Any) -> None:
    told = client.post(name, body)
    assert told.status_code == 400
    assert told.json()["error"]


def test_a_photo_of_no_finding_and_a_broken_body_are_refused(client: Client) -> None:
    assert client.http.get("/photo/..%2f..%2fetc%2fpasswd").status_code in (400, 404)
    assert client.http.get("/photo/nowhere").status_code == 400
    assert client.http.post("/ask", content=b"{", headers=client.headers).status_code == 400


def test_the_user_s_own_plugins_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    for name in ("theirs", PLUGIN_LINK):
        (own / name).mkdir(parents=True)
        (own / name / "fiftyone.yml").write_text(f"name: {name}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(PLUGINS_DIR, str(own))
    folder = plugins_dir()
    assert (folder / "theirs" / "fiftyone.yml").read_text() == "name: theirs"
    assert (folder / PLUGIN_LINK / "panel.js").is_file()
    assert sorted(p.name for p in folder.iterdir()) == [PLUGIN_LINK, "theirs"]
    # from within a review's own environment, where the folder of links stands for the user's
    monkeypatch.setenv(PLUGINS_DIR, str(folder))
    assert sorted(p.name for p in plugins_dir().iterdir()) == [PLUGIN_LINK, "theirs"]
    assert (folder / "theirs" / "fiftyone.yml").exists()
    monkeypatch.setenv(PLUGINS_DIR, str(tmp_path / "nowhere"))
    assert [p.name for p in plugins_dir().iterdir()] == [PLUGIN_LINK]
    assert (own / "theirs" / "fiftyone.yml").exists()


def test_fiftyone_finds_our_plugin_and_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fiftyone as fo
    import fiftyone.plugins as fop

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv(PLUGINS_DIR, str(tmp_path / "none"))
    monkeypatch.setattr(fo.config, "plugins_dir", str(plugins_dir()))
    found = {p.name: p for p in fop.list_plugins(enabled="all", builtin=False)}
    ours = found["@cvat-audit/review"]
    assert ours.has_js
    assert ours.operators == ["open_review"]
    assert Path(ours.js_bundle_path).resolve().parent == review_app.PLUGIN


def test_a_reviewer_without_a_name_is_refused_before_anything_starts(tmp_path: Path) -> None:
    run = save_run(tmp_path, **real_tables(tmp_path))
    with pytest.raises(UsageError, match="no reviewer's name"), review_server(run, "\n", "none"):
        pass


def test_questions_drawn_by_chance_name_no_type_and_photos_say_what_counts(tmp_path: Path) -> None:
    client = Client(Review(save_run(tmp_path, **real_tables(tmp_path)), "ann", Plan(blind=1.0)))
    review = client.routes.review
    items = client.post("ask", {"number": 16}).json()["items"]
    blind = [i for i in items if review.is_blind(review.row(i["id"]))]
    assert blind
    for item in blind:
        assert (item["type"], item["title"]) == ("", "Drawn by chance")
        whole = item["question"]["text"].startswith("Does anything")
        assert ("person, bus, tie, cat" in item["reason"]) == whole
        assert "%" not in item["question"]["text"]
        assert "proposed" not in {p["role"] for p in item["paths"]} or whole
        assert client.post("answer", {"finding": item["id"], "answer": "yes"}).status_code == 200
    assert len(decisions.read(review.run.path / BLIND)) == len(blind)
    client.routes.spots.close()


def test_after_some_answers_the_page_is_told_when_to_stop(tmp_path: Path) -> None:
    client = Client(Review(write(tmp_path / "run"), "ann"))
    for answered in range(EVERY):
        item = client.post("ask", {"number": 1}).json()["items"][0]
        told = client.post("answer", {"finding": item["id"], "answer": "yes", "seconds": 4}).json()
        assert answered == EVERY - 1 or told["outlook"] == ""
    client.routes.outlook.close()
    told = client.post("ask", {"number": 1}).json()
    assert told["outlook"].startswith("Found so far: ")
    assert " 90 %" in told["outlook"]
    client.routes.spots.close()
