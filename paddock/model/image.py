"""An image by its name, as people write it (`busybox`, `registry.example:5000/a/b:1@sha256:…`), and where it is to be had."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paddock.model.errors import InvalidRequest

DEFAULT_REGISTRY = "docker.io"
"""Meant where a name begins with no registry, as in every `docker pull`."""

DEFAULT_TAG = "latest"
IMAGE_NAME_LIMIT_BYTES = 255
"""For registry and repository together: registries' own limit."""

_OFFICIAL = "library/"
_LEGACY_REGISTRY = "index.docker.io"
_PORT_LIMIT = 65_535
_REFERENCE_LIMIT_BYTES = 1_024
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_COMPONENT_WORDS = "a-z and 0-9, between them one of . _ __ or dashes"
_REGISTRY_WORDS = "a registry's host is known by a dot or a port (HOST:443/…)"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*", re.ASCII)
_HOST6 = re.compile(r"\[[0-9A-Fa-f:]+\]", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """One image. `registry` and `repository` are spelled out (`docker.io`, `library/busybox`); `tag` and `digest` are empty
    where none was given. With both the digest decides: what is fetched is that image, or nothing.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """The digest, or the tag, or `latest`: what is asked of the registry."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def canonical(self) -> str:
        """Without any default: what an engine is asked for. The same for all spellings of one image."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.version}"

    def __str__(self) -> str:
        """The shortest spelling that parse_image turns back into the same."""
        suffix = (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
        if self.registry != DEFAULT_REGISTRY:
            return self.name + suffix
        official = self.repository.removeprefix(_OFFICIAL)
        short = self.repository if "/" in official else official
        begins_like_a_registry = "/" in short and _is_registry(short.partition("/")[0])
        return (self.name if begins_like_a_registry or _IMAGE_ID.fullmatch(short) else short) + suffix


def parse_image(text: str, field: str = "image") -> ImageReference:
    """Raises InvalidRequest naming the part that is wrong and what is accepted. Who is asked to run it asks `check_image` too:
    what is read here may run already.
    """
    if not text or len(text) > _REFERENCE_LIMIT_BYTES or not text.isascii():
        remedy = f"write [registry/]repository[:tag][@digest] in at most {_REFERENCE_LIMIT_BYTES} ASCII characters"
        raise InvalidRequest(field, text, remedy)
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidRequest(
            field, text, "write the digest as @sha256: and 64, or @sha512: and 128 lower-case hex digits"
        )
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        remedy = f"its tag is {tag!r}: use 1 to 128 of A-Z a-z 0-9 _ . -, not beginning with . or -"
        raise InvalidRequest(field, text, remedy)
    registry, repository = _split(name, text, field)
    return ImageReference(registry=registry, repository=repository, tag=tag, digest=digest)


def check_image(image: ImageReference, field: str) -> None:
    """Newer engines take a first part with a capital letter for a registry, older ones for a repository, which has none: none
    gets it from us. Raises InvalidRequest.
    """
    first = image.registry
    if first != first.lower() and not _is_plainly_registry(first):
        remedy = f"its part {first!r} is no name: use {_COMPONENT_WORDS}; {_REGISTRY_WORDS}"
        raise InvalidRequest(field, str(image), remedy)


def _split(name: str, text: str, field: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    given = bool(slash) and _is_registry(first)
    registry, repository = (first, rest) if given else (DEFAULT_REGISTRY, name)
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if given:
        _check_registry(registry, text, field)
    elif _IMAGE_ID.fullmatch(name):
        raise InvalidRequest(
            field, text, "this is an image's id, good on one host only: name repository and tag or digest"
        )
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    for component in repository.removeprefix(_OFFICIAL).split("/"):
        if not _COMPONENT.fullmatch(component):
            raise InvalidRequest(field, text, f"its part {component!r} is no name: use {_COMPONENT_WORDS}")
    if len(registry) + 1 + len(repository) > IMAGE_NAME_LIMIT_BYTES:
        raise InvalidRequest(field, text, f"use at most {IMAGE_NAME_LIMIT_BYTES} bytes for registry and repository")
    return registry, repository


def _is_registry(first: str) -> bool:
    return _is_plainly_registry(first) or first != first.lower()


def _is_plainly_registry(first: str) -> bool:
    """To every engine."""
    return first == "localhost" or "." in first or ":" in first


def _check_registry(registry: str, text: str, field: str) -> None:
    host, colon, port = registry.rpartition(":")
    if not colon or registry.endswith("]"):
        host, colon, port = registry, "", ""
    if not _HOST.fullmatch(host) and not _HOST6.fullmatch(host):
        raise InvalidRequest(
            field, text, f"its registry's host is {host!r}: use a host name, an IPv4 address or [IPv6]"
        )
    if colon and not (_PORT.fullmatch(port) and 1 <= int(port) <= _PORT_LIMIT):
        raise InvalidRequest(field, text, f"its registry's port is {port!r}: use 1 to {_PORT_LIMIT}")
