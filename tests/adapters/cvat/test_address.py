"""What names a part of a server, and who asks."""

from __future__ import annotations

import pytest

from audit.adapters.cvat.address import is_address, parse_address, parse_server
from audit.adapters.cvat.credentials import credentials_from
from audit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "base", "kind", "number"),
    [
        ("cvat://cvat.test/tasks/42", "https://cvat.test", "task", 42),
        ("cvat://cvat.test:8443/jobs/7/", "https://cvat.test:8443", "job", 7),
        ("cvat+http://cvat.test/projects/3", "http://cvat.test", "project", 3),
        ("cvat+http://cvat.test:80/projects/3", "http://cvat.test", "project", 3),
        ("cvat://localhost:8080/tasks/1", "http://localhost:8080", "task", 1),
        ("cvat://127.0.0.1/tasks/1", "http://127.0.0.1", "task", 1),
        ("cvat://[::1]:8080/tasks/1", "http://[::1]:8080", "task", 1),
        ("cvat+https://localhost/tasks/1", "https://localhost", "task", 1),
        ("https://cvat.test/tasks/42/jobs/7?frame=3&serverID=5", "https://cvat.test", "job", 7),
        ("http://cvat.test/tasks/42", "http://cvat.test", "task", 42),
        ("https://cvat.test/projects/3?page=1", "https://cvat.test", "project", 3),
    ],
)
def test_addresses_that_people_type_or_paste(text: str, base: str, kind: str, number: int) -> None:
    address = parse_address(text)
    assert (address.base, address.kind, address.id) == (base, kind, number)
    assert parse_address(str(address)) == address
    assert is_address(text)
    assert parse_server(text) == base


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begins with"),
        ("tasks/42", "begins with"),
        ("ftp://cvat.test/tasks/42", "begins with 'ftp:'"),
        ("cvat://", "names no server"),
        ("cvat:///tasks/42", "names no server"),
        ("cvat://cvat.test", "names no task, job or project"),
        ("cvat://cvat.test/tasks", "names no task, job or project"),
        ("cvat://cvat.test/tasks/abc", "names no task, job or project"),
        ("cvat://cvat.test/tasks/42/../../etc", "names no task, job or project"),
        ("cvat://cvat.test:99999/tasks/42", "is not an address"),
        ("cvat://cvat{x}.test/tasks/42", "names no server"),
    ],
)
def test_a_bad_address_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)
    assert "expected cvat://HOST/tasks/42" in str(caught.value)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="--auth") as caught:
        parse_address("cvat://ann:secret@cvat.test/tasks/4")
    assert "secret" not in str(caught.value)


def test_a_path_is_not_an_address() -> None:
    assert not is_address("export.zip")
    assert not is_address("C:/export.zip")


def test_credentials_come_in_the_order_of_cvat_cli() -> None:
    everything = {"CVAT_ACCESS_TOKEN": "tok", "PASS": "pw"}
    assert credentials_from(None, everything).token == "tok"
    named = credentials_from("ann:own", everything)
    assert (named.user, named.password, named.token) == ("ann", "own", "")
    assert credentials_from("ann", everything).password == "pw"
    assert credentials_from("ann:with:colon", {}).password == "with:colon"
    asked = credentials_from("ann", {})
    assert asked.needs_password
    assert asked.with_password("typed").password == "typed"
    assert credentials_from(None, {"CVAT_ACCESS_TOKEN": " "}).token == ""


def test_secrets_show_in_no_representation() -> None:
    credentials = credentials_from("ann:hidden", {})
    token = credentials_from(None, {"CVAT_ACCESS_TOKEN": "hidden"})
    assert "hidden" not in f"{credentials!r} {credentials} {token!r} {token}"
