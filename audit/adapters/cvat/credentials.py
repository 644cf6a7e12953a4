"""Who is asking: an access token, or a user and a password, found as ``cvat-cli`` finds them."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

TOKEN_VARIABLE = "CVAT_ACCESS_TOKEN"  # noqa: S105 - the name of a variable, not a token
PASSWORD_VARIABLE = "PASS"  # noqa: S105 - the name of a variable, not a password


@dataclass(frozen=True)
class Credentials:
    """A token, or a user with a password. The secrets are in no representation of this object."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def needs_password(self) -> bool:
        """Whether the user must still be asked for the password."""
        return not self.token and not self.password

    def with_password(self, password: str) -> Credentials:
        return replace(self, password=password)

    def __str__(self) -> str:
        return "the access token" if self.token else f"user '{self.user}'"


def credentials_from(auth: str | None, environ: Mapping[str, str]) -> Credentials:
    """The order of ``cvat-cli`` 2.80: ``--auth USER[:PASS]``, then ``CVAT_ACCESS_TOKEN``, then this machine's user.

    A password that stands in neither place comes from ``PASS``; else ``needs_password`` says to ask.
    """
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if auth is None and token:
        return Credentials(token=token)
    user, _, password = (auth or _login_name()).partition(":")
    return Credentials(user, password or environ.get(PASSWORD_VARIABLE, ""))


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in some containers
        return ""
