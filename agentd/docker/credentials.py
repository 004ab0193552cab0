"""Registries' passwords from a Docker configuration (`~/.docker/config.json`), and which of them one image needs. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field

from paddock.model.errors import InvalidRequest
from paddock.model.image import DEFAULT_REGISTRY, ImageReference

SIZE_LIMIT_BYTES = 1 << 20
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_API_PATHS = frozenset({"", "v1", "v2"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """For images whose name is `place` or begins with it and a slash. Either user and password, or an identity token."""

    place: str
    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def covers(self, name: str) -> bool:
        """An image by registry and repository."""
        return f"{name}/".startswith(f"{self.place}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """All of one configuration."""

    known: tuple[Credential, ...] = ()

    def of(self, image: ImageReference) -> Credential | None:
        """The most special one; None: nothing is said about this registry."""
        return max(
            (each for each in self.known if each.covers(image.name)), key=lambda each: len(each.place), default=None
        )


def credentials_from(content: bytes, place: str) -> Credentials:
    """`place` names the file in errors, in which no secret is shown. Raises InvalidRequest."""
    if len(content) > SIZE_LIMIT_BYTES:
        raise InvalidRequest(place, f"{len(content)} bytes", f"use at most {SIZE_LIMIT_BYTES}")
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidRequest(place, "its content", "write JSON, as `docker login` does") from None
    if not isinstance(found, dict):
        raise InvalidRequest(place, type(found).__name__, 'write an object with "auths", as `docker login` does')
    _check_stores(found, place)
    # Before 1.7, and in some clusters still, the registries stood at the top.
    auths: object = found.get("auths") if "auths" in found or not _is_old(found) else found
    if auths is None:
        return Credentials()
    if not isinstance(auths, dict):
        raise InvalidRequest(
            f"{place}: auths", type(auths).__name__, "write an object with one entry for each registry"
        )
    return Credentials(known=tuple(_credential(str(key), value, f"{place}: auths") for key, value in auths.items()))


def auth_config(credential: Credential | None, image: ImageReference) -> dict[str, str]:
    """As the docker package takes it; for None one that says nobody: without it, the package would look for one itself."""
    if credential is None:
        return {}
    if credential.identity_token:
        return {"identitytoken": credential.identity_token, "serveraddress": image.registry}
    return {"username": credential.user, "password": credential.password, "serveraddress": image.registry}


def _check_stores(found: dict[object, object], place: str) -> None:
    remedy = (
        "an agent asks no program for passwords: leave it out, and write them under auths (docker login without it)"
    )
    if found.get("credsStore"):
        raise InvalidRequest(f"{place}: credsStore", found["credsStore"], remedy)
    helpers = found.get("credHelpers")
    if helpers:
        names = ", ".join(map(str, helpers)) if isinstance(helpers, dict) else type(helpers).__name__
        raise InvalidRequest(f"{place}: credHelpers", names, remedy)


def _is_old(found: dict[object, object]) -> bool:
    return bool(found) and all(isinstance(value, dict) and "auth" in value for value in found.values())


def _credential(key: str, value: object, place: str) -> Credential:
    where = f"{place}[{key}]"
    if not isinstance(value, dict):
        raise InvalidRequest(where, type(value).__name__, 'write {"auth": base64 of user:password}')
    texts = {}
    for name in ("auth", "username", "password", "identitytoken"):
        text = value.get(name, "")
        if not isinstance(text, str):
            raise InvalidRequest(f"{where}.{name}", type(text).__name__, "write a text")
        texts[name] = text
    user, password = _pair(texts["auth"], where) if texts["auth"] else (texts["username"], texts["password"])
    if not texts["identitytoken"] and not user:
        raise InvalidRequest(where, "no user", "write auth, or username and password, or identitytoken")
    return Credential(
        place=_image_place(key, place), user=user, password=password, identity_token=texts["identitytoken"]
    )


def _pair(auth: str, where: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{where}.auth", "its content", "write base64 of user:password") from None
    user, colon, password = text.partition(":")
    if not colon or not user:
        raise InvalidRequest(f"{where}.auth", "its content", "write base64 of user:password")
    return user, password.rstrip("\0")


def _image_place(key: str, place: str) -> str:
    """`index.docker.io/v1/`, with a scheme or without, and `registry.example:5000/team` as images' names begin."""
    host, _, path = key.removeprefix("https://").removeprefix("http://").partition("/")
    path = path.strip("/")
    if not host or any(character.isspace() for character in key):
        raise InvalidRequest(f"{place}[{key}]", key, "write a registry: registry.example:5000")
    if host in _HUB_NAMES:
        host = DEFAULT_REGISTRY
    return host if path in _API_PATHS else f"{host}/{path}"
