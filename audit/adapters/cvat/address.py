"""What the user types to name a part of a CVAT server, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from audit.errors import UsageError

SCHEMES = ("cvat", "cvat+http", "cvat+https", "http", "https")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
EXPECTED = "expected cvat://HOST/tasks/42, cvat://HOST/jobs/7 or cvat://HOST/projects/3"
_ID = r"\d{1,18}"
_PATH = re.compile(rf"(?:/projects/(?P<project>{_ID}))?(?:/tasks/(?P<task>{_ID}))?(?:/jobs/(?P<job>{_ID}))?/?")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[?[0-9A-Fa-f:]+\]?")


@dataclass(frozen=True)
class Address:
    """base: the server, such as ``https://cvat.example.org``. kind: task, job or project. id: its number there."""

    base: str
    kind: str
    id: int

    def __str__(self) -> str:
        short = f"cvat://{self.host}"
        scheme = "cvat" if parse_server(short) == self.base else f"cvat+{self.base.partition(':')[0]}"
        return f"{scheme}://{self.host}/{self.kind}s/{self.id}"

    @property
    def host(self) -> str:
        """The server as people name it: host and, where it is not the usual one, port."""
        return self.base.split("://", 1)[1]


def is_address(text: str) -> bool:
    """Whether this names something on a server rather than a file."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def parse_address(text: str) -> Address:
    """``cvat://HOST[:PORT]/tasks/42`` or an address copied from the browser.

    ``cvat://`` speaks HTTPS, except to this machine; ``cvat+http://`` always speaks HTTP.
    Of ``/tasks/42/jobs/7`` the job counts. Raises UsageError for everything else.
    """
    scheme, host, port, path = _split(text)
    match = _PATH.fullmatch(path)
    named = {kind: number for kind, number in match.groupdict().items() if number} if match else {}
    if not named:
        raise UsageError(f"'{_shown(text)}' names no task, job or project; {EXPECTED}")
    kind = list(named)[-1]
    return Address(_base(scheme, host, port), kind, int(named[kind]))


def parse_server(text: str) -> str:
    """The server of an address with or without a path, such as ``https://cvat.example.org``. Raises UsageError."""
    scheme, host, port, _ = _split(text if "://" in text else f"cvat://{text}")
    return _base(scheme, host, port)


def _split(text: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"'{_shown(text)}' is not an address ({error}); {EXPECTED}") from None
    if "@" in parts.netloc:
        raise UsageError("a password or token must not stand in the address; use --auth or CVAT_ACCESS_TOKEN")
    if parts.scheme not in SCHEMES:
        raise UsageError(f"'{_shown(text)}' begins with '{parts.scheme}:'; {EXPECTED}")
    if not host or not _HOST.fullmatch(host):
        raise UsageError(f"'{_shown(text)}' names no server; {EXPECTED}")
    return parts.scheme, host, port, parts.path


def _base(scheme: str, host: str, port: int | None) -> str:
    protocol = {"cvat+http": "http", "http": "http", "cvat+https": "https", "https": "https"}.get(scheme)
    protocol = protocol or ("http" if host in LOCAL_HOSTS else "https")
    place = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[protocol]
    return f"{protocol}://{place}" + (f":{port}" if port not in (None, usual) else "")


def _shown(text: str) -> str:
    """The text without what stands before an @ (it may be a password), cut to one line."""
    return re.sub(r"//[^/]*@", "//***@", text)[:200].replace("\n", " ")
