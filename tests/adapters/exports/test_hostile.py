"""Files that are broken, or made to harm: one clear line each, nothing written, nothing read outside."""

from __future__ import annotations

import json
import os
import zipfile

import pytest

from audit.errors import UsageError

from .conftest import Silent, picture, write_folder, write_zip
from .samples import box, coco, coco_shape, coco_text, cvat_xml, image

XML = cvat_xml(image(0, box(1, 2, 3, 4)))
NAME = "annotations/instances_default.json"


@pytest.mark.parametrize("member", ["../evil.xml", "/etc/evil.xml", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_a_zip_that_climbs_out_is_refused(opened, tmp_path, member):
    (tmp_path / "in").mkdir()
    path = write_zip(tmp_path / "in" / "x.zip", {"annotations.xml": XML, member: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"member '.*evil.*' would lie outside"):
        opened(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_with_a_symbolic_link_is_refused(opened, tmp_path):
    path = write_zip(tmp_path / "x.zip", {"annotations.xml": XML})
    link = zipfile.ZipInfo("images/0.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="symbolic link"):
        opened(path)


def test_an_encrypted_zip_is_said(opened, tmp_path):
    path = write_zip(tmp_path / "x.zip", {"annotations.xml": XML})
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(magic) + at] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UsageError, match="encrypted"):
        opened(path)


def test_a_bomb_of_annotations_is_refused(opened, tmp_path):
    bomb = XML.replace("</annotations>", " " * (32 << 20) + "</annotations>")
    with pytest.raises(UsageError, match=r"grows .* times when unpacked"):
        opened(write_zip(tmp_path / "x.zip", {"annotations.xml": bomb}))


def test_a_bomb_of_an_image_is_one_frames_problem(opened, tmp_path):
    files = {
        "annotations.xml": cvat_xml(image(0) + image(1)),
        "images/0.png": bytes(32 << 20),
        "images/1.png": picture(),
    }
    store = opened(write_zip(tmp_path / "x.zip", files))
    first, second = store.images(store.snapshot(Silent()), [0, 1])
    assert "grows" in first.reason and second.data == picture()


@pytest.mark.parametrize("keep", [10, 100, -10])
def test_a_truncated_zip(opened, tmp_path, keep):
    path = write_zip(tmp_path / "x.zip", {"annotations.xml": XML})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UsageError, match="not a whole zip"):
        opened(path)


def test_a_zip_with_damaged_bytes(opened, tmp_path):
    path = write_zip(tmp_path / "x.zip", {"annotations.xml": XML, "images/0.png": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    middle = data.index(b"images/0.png") + 2000
    data[middle] ^= 0xFF
    path.write_bytes(bytes(data))
    store = opened(path)
    (item,) = store.images(store.snapshot(Silent()), [0])
    assert "cannot be unpacked" in item.reason


def test_something_else_called_zip(opened, tmp_path):
    (tmp_path / "x.zip").write_text("hello")
    with pytest.raises(UsageError, match="not a whole zip"):
        opened(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["x.zip", "x.json", "x.xml", "data.yaml"])
def test_an_empty_file(opened, tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="empty"):
        opened(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["x.zip", "x.xml"])
def test_a_file_without_read_permission(opened, tmp_path, name):
    path = write_zip(tmp_path / name, {}) if name == "x.zip" else write_folder(tmp_path, {name: XML}) / name
    path.chmod(0)
    with pytest.raises(UsageError, match="no permission"):
        opened(path)


def test_no_permission_is_one_line_even_where_root_may_read(opened, tmp_path, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_zip(tmp_path / "x.zip", {"annotations.xml": XML})
    monkeypatch.setattr("zipfile.ZipFile.__init__", refuse)
    with pytest.raises(UsageError, match="no permission"):
        opened(path)


LAUGHS = '<!DOCTYPE annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("doctype", [LAUGHS, EXTERNAL, "<!DOCTYPE annotations>"])
def test_xml_with_entities_or_a_doctype_is_refused(opened, tmp_path, doctype):
    text = XML.replace("<annotations>", f"{doctype}<annotations>", 1).replace('name="0.png"', 'name="&a;"')
    with pytest.raises(UsageError, match="CVAT never writes"):
        opened(write_folder(tmp_path / "e", {"annotations.xml": text}))


@pytest.mark.parametrize("text", [XML[:-40], "<annotations>", "no xml", XML.replace("utf-8", "no-such-code")])
def test_broken_xml_tells_where(read, text):
    with pytest.raises(UsageError, match=r"annotations\.xml.*(line \d+|encoding|read as XML)"):
        read({"annotations.xml": text}, format="cvat-images")


@pytest.mark.parametrize("cut", [50, 200, -3])
def test_cut_json_says_so(read, cut):
    with pytest.raises(UsageError, match="ends in the middle of its JSON"):
        read({NAME: coco_text(coco_shape())[:cut]})


def test_broken_json_names_the_byte(read):
    text = coco_text(coco_shape(), coco_shape(id=2))
    at = text.index('"iscrowd"')
    with pytest.raises(UsageError, match=rf"not valid JSON near byte ({at}|{at + 1}) ") as error:
        read({NAME: text[:at] + "?" + text[at + 1 :]})
    assert "\n" not in str(error.value)


def test_a_name_that_climbs_out_of_the_folder_is_not_opened(opened, tmp_path):
    (tmp_path / "secret.png").write_bytes(picture())
    names = ["../secret.png", str(tmp_path / "secret.png"), "images/../../secret.png", "..\\secret.png", "a\0b"]
    data = coco([])
    data["images"] = [{"id": i, "file_name": n, "width": 4, "height": 3} for i, n in enumerate(names)]
    store = opened(write_folder(tmp_path / "e", {NAME: json.dumps(data)}))
    snapshot = store.snapshot(Silent())
    reasons = [item.reason for item in store.images(snapshot, range(5))]
    assert len(reasons) == 5 and all("leads out" in r for r in reasons)


def test_a_link_that_leaves_the_folder_is_not_followed(opened, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "0.png").write_bytes(picture())
    root = write_folder(tmp_path / "e", {"annotations.xml": cvat_xml(image(0) + image(1)), "images/1.png": picture()})
    (root / "images" / "0.png").symlink_to(outside / "0.png")
    store = opened(root)
    first, second = store.images(store.snapshot(Silent()), [0, 1])
    assert "link that leaves" in first.reason and second.data == picture()


def test_an_annotation_file_that_is_a_link_out_is_refused(opened, tmp_path):
    (tmp_path / "real.xml").write_text(XML)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "annotations.xml").symlink_to(tmp_path / "real.xml")
    with pytest.raises(UsageError, match="link that leaves"):
        opened(tmp_path / "e")


def test_yaml_bombs_and_tags_do_nothing(opened, tmp_path):
    tagged = "names: !!python/object/apply:os.system ['touch pwned']\n"
    with pytest.raises(UsageError, match="not valid YAML"):
        opened(write_folder(tmp_path / "e", {"data.yaml": tagged}))
    assert not (tmp_path / "pwned").exists()
    deep = "names: " + "[" * 5000
    with pytest.raises(UsageError, match="not valid YAML"):
        opened(write_folder(tmp_path / "e", {"data.yaml": deep}))


def test_deep_nesting_is_refused_before_it_eats_the_memory(tmp_path, opened):
    path = tmp_path / "annotations.json"
    path.write_text('{"images": ' + "[" * 100_000)
    with pytest.raises(UsageError, match="nested more than 64 levels"):
        opened(path).snapshot(Silent())


def test_a_file_that_is_no_export_is_not_taken_for_a_zip(opened, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(picture())
    with pytest.raises(UsageError, match=r"photo.jpg: is no export: expected a zip, a folder, or"):
        opened(tmp_path / "photo.jpg")
    named_oddly = write_zip(tmp_path / "export.backup", {"annotations.xml": XML})
    assert opened(named_oddly).format == "cvat-images"
    named_oddly.write_bytes(named_oddly.read_bytes()[:-30])
    with pytest.raises(UsageError, match="not a whole zip"):
        opened(named_oddly)
