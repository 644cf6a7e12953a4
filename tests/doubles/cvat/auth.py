"""Server information, logging in, tokens, users, organizations."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import Any

from tests.doubles.cvat import access, listing
from tests.doubles.cvat.state import AccessToken, Organization, State, User
from tests.doubles.cvat.web import NO_CACHE, ApiError, Request, Response, Routes, absolute, forbidden, not_found

VERSION = "2.73.0"
ABOUT = (
    "CVAT is completely re-designed and re-implemented version of Video Annotation Tool from Irvine, California tool. "
    "It is free, online, interactive video and image annotation tool for computer vision. It is being used by our team "
    "to annotate million of objects with different properties. Many UI and UX decisions are based on feedbacks from "
    "professional data annotation team."
)


def authenticate(request: Request) -> User | None:
    """The user behind Authorization or the session cookie; None without either, 401 with wrong ones."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    state = request.state
    if scheme == "Bearer":
        return _bearer(request, value)
    if scheme == "Token":
        return _known(state, state.keys.get(value))
    if scheme == "Basic":
        return _basic(state, value)
    session = _cookies(request).get("sessionid")
    return state.users.get(state.sessions[session]) if session in state.sessions else None


def _bearer(request: Request, value: str) -> User:
    state = request.state
    token = next((token for token in state.tokens.values() if secrets.compare_digest(token.value, value)), None)
    user = _known(state, token.user if token else None)
    if token:
        token.last_used = state.now()
        request.read_only = token.read_only
    return user


def _known(state: State, user: int | None) -> User:
    if user is None or user not in state.users:
        raise unauthorized("Invalid token.")
    return state.users[user]


def _basic(state: State, value: str) -> User:
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise unauthorized("Invalid basic header. Credentials not correctly base64 encoded.") from error
    user = state.user_named(name)
    if user is None or not user.password or user.password != password:
        raise unauthorized("Invalid username/password.")
    return user


def _cookies(request: Request) -> dict[str, str]:
    pairs = (item.strip().partition("=") for item in request.headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}


def unauthorized(text: str) -> ApiError:
    return ApiError(401, {"detail": text}, headers={"WWW-Authenticate": "Token"})


def about(request: Request) -> Response:
    body = {
        "name": "Computer Vision Annotation Tool",
        "description": ABOUT,
        "version": VERSION,
        "logo_url": request.base_url + "/static/logo.svg",
        "subtitle": "Open Data Annotation Platform",
    }
    return Response(200, body)


def health(_: Request) -> Response:
    parts = "Cache backend: default,Cache backend: media,DatabaseBackend,DatabaseBackend[default],DiskUsage,MemoryUsage"
    names = [*parts.split(","), "OPAHealthCheck"]
    return Response(200, dict.fromkeys(names, "working"), NO_CACHE, "application/json")


def login(request: Request) -> Response:
    """Sets the two cookies that the SDK looks for and gives the legacy key. A wrong password is a 400."""
    body = request.object()
    user = request.state.user_named(str(body.get("username")))
    if user is None or not user.password or user.password != body.get("password"):
        raise ApiError(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
    state = request.state
    session, csrf = secrets.token_hex(16), secrets.token_hex(16)
    state.sessions[session] = user.id
    user.last_login = state.now()
    key = next((key for key, owner in state.keys.items() if owner == user.id), None) or secrets.token_hex(20)
    state.keys[key] = user.id
    # Two cookies in one header would be misread: the transport splits this list into two.
    tail = "Max-Age=1209600; Path=/; SameSite=Lax"
    cookies = f"csrftoken={csrf}; {tail}\nsessionid={session}; HttpOnly; {tail}"
    return Response(200, {"key": key}, {"Set-Cookie": cookies})


def logout(request: Request) -> Response:
    """Ends the session, and with it the user's legacy key everywhere."""
    state = request.state
    state.sessions.pop(_cookies(request).get("sessionid", ""), None)
    for key in [key for key, owner in state.keys.items() if owner == request.user.id]:
        del state.keys[key]
    return Response(200, {"detail": "Successfully logged out."})


def _show_token(request: Request, token: AccessToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "created_date": token.created,
        "updated_date": token.updated,
        "expiry_date": None,
        "last_used_date": token.last_used,
        "read_only": token.read_only,
        "owner": show_user(request, token.user),
    }


def create_token(request: Request) -> Response:
    """A personal access token; its value is shown only here."""
    body = request.object()
    token = add_token(request.state, request.user.id, secrets.token_hex(20), str(body.get("name", "")))
    token.read_only = bool(body.get("read_only", False))
    return Response(201, {**_show_token(request, token), "value": token.value})


def add_token(state: State, user: int, value: str, name: str) -> AccessToken:
    """Store a token with a value of the caller's choice."""
    now = state.now()
    token = AccessToken(state.next_id("token"), name, value, user, False, now, state.now())
    state.tokens[token.id] = token
    return token


def list_tokens(request: Request) -> Response:
    mine = [token for token in request.state.tokens.values() if token.user == request.user.id]
    return listing.page(request, mine[::-1], lambda token: _show_token(request, token))


def own_token(request: Request) -> Response:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = next((token for token in request.state.tokens.values() if token.value == value), None)
    if scheme != "Bearer" or token is None:
        raise not_found("AccessToken")
    return Response(200, _show_token(request, token))


def delete_token(request: Request) -> Response:
    token = request.state.tokens.get(request.number("id"))
    if token is None or token.user != request.user.id:
        raise not_found("AccessToken")
    del request.state.tokens[token.id]
    return Response(204)


def show_user(request: Request, user_id: int | None) -> dict[str, Any] | None:
    """The short form that stands inside other objects."""
    if user_id is None:
        return None
    user = request.state.users[user_id]
    url = absolute(request, f"/api/users/{user.id}")
    return {"url": url, "id": user.id, "username": user.username, "first_name": "", "last_name": ""}


def _show_account(request: Request, user: User) -> dict[str, Any]:
    short = show_user(request, user.id) or {}
    return {
        **short,
        "email": f"{user.username}@example.com",
        "groups": user.groups,
        "is_staff": user.is_superuser,
        "is_superuser": user.is_superuser,
        "is_active": True,
        "last_login": user.last_login,
        "date_joined": user.joined,
        "has_analytics_access": user.is_superuser,
    }


def self_account(request: Request) -> Response:
    return Response(200, _show_account(request, request.user))


def list_users(request: Request) -> Response:
    """Superusers see everybody, others only themselves, in the short form."""
    if not request.user.is_superuser:
        return listing.page(request, [request.user], lambda user: show_user(request, user.id))
    users = listing.select(
        request, list(request.state.users.values()), lambda user: {"id": user.id, "name": user.username}
    )
    return listing.page(request, users, lambda user: _show_account(request, user))


def get_user(request: Request) -> Response:
    user = request.state.users.get(request.number("id"))
    if user is None:
        raise not_found("User")
    if not request.user.is_superuser and user.id != request.user.id:
        raise forbidden()
    return Response(200, _show_account(request, user))


def _show_organization(request: Request, found: Organization) -> dict[str, Any]:
    return {
        "id": found.id,
        "slug": found.slug,
        "name": found.name,
        "description": "",
        "created_date": found.created,
        "updated_date": found.updated,
        "contact": {},
        "owner": show_user(request, found.owner),
    }


def list_organizations(request: Request) -> Response:
    user = request.user
    rows = [found for found in request.state.organizations.values() if user.is_superuser or user.id in found.members]
    rows = listing.select(request, rows, lambda found: {"id": found.id, "slug": found.slug, "name": found.name})
    return listing.page(request, rows, lambda found: _show_organization(request, found))


def create_organization(request: Request) -> Response:
    slug = str(request.object().get("slug", ""))
    if not re.fullmatch(r"[-\w]+", slug, re.ASCII):
        text = 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'
        raise ApiError(400, {"slug": [text]})
    if any(found.slug == slug for found in request.state.organizations.values()):
        raise ApiError(400, {"slug": ["organization with this slug already exists."]})
    found = add_organization(request.state, slug, str(request.object().get("name", slug)), request.user.id)
    return Response(201, _show_organization(request, found))


def add_organization(state: State, slug: str, name: str, owner: int) -> Organization:
    """Store an organization; its owner is its first member."""
    now = state.now()
    found = Organization(state.next_id("organization"), slug, name, owner, now, state.now(), {owner: "owner"})
    state.organizations[found.id] = found
    return found


def get_organization(request: Request) -> Response:
    found = request.state.organizations.get(request.number("id"))
    if found is None:
        raise not_found("Organization")
    if not request.user.is_superuser and request.user.id not in found.members:
        raise forbidden()
    return Response(200, _show_organization(request, found))


def workspace_id(request: Request) -> int | None:
    """The organization that something new is put into."""
    chosen = access.organization(request)
    return chosen.id if chosen else None


def routes(table: Routes) -> None:
    table.add("/api/server/about", public=True, GET=about)
    table.add("/api/server/health/", public=True, GET=health)
    table.add("/api/auth/login", public=True, POST=login)
    table.add("/api/auth/logout", GET=logout, POST=logout)
    table.add("/api/auth/access_tokens", GET=list_tokens, POST=create_token)
    table.add("/api/auth/access_tokens/self", GET=own_token)
    table.add("/api/auth/access_tokens/{id}", also="GET PATCH", DELETE=delete_token)
    table.add("/api/users", GET=list_users)
    table.add("/api/users/self", GET=self_account)
    table.add("/api/users/{id}", also="PATCH DELETE", GET=get_user)
    table.add("/api/organizations", GET=list_organizations, POST=create_organization)
    table.add("/api/organizations/{id}", also="PATCH DELETE", GET=get_organization)
