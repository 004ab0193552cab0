"""A Docker configuration is read as `docker login` and clusters write it; nothing secret is ever shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.credentials import SIZE_LIMIT_BYTES, Credential, Credentials, auth_config, credentials_from
from paddock.model.errors import InvalidRequest
from paddock.model.image import parse_image

PLACE = "/etc/paddock/docker.json"


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def read(value: object) -> Credentials:
    return credentials_from(json.dumps(value).encode(), PLACE)


def user_for(found: Credentials, image: str) -> str | None:
    credential = found.of(parse_image(image))
    return None if credential is None else credential.user


def test_each_registry_has_its_own() -> None:
    found = read(
        {
            "auths": {
                "registry.example:5000": {"auth": auth("anna:pass:with:colons")},
                "https://" + "index.docker.io/v1/": {"username": "hub", "password": "x"},
                "other.example/team": {"auth": auth("team:x")},
                "https://other.example/v2/": {"auth": auth("all:x")},
            },
            "HttpHeaders": {"User-Agent": "Docker-Client/20"},
        }
    )
    assert user_for(found, "registry.example:5000/a/b:1") == "anna"
    assert user_for(found, "busybox") == "hub"
    assert user_for(found, "docker.io/library/busybox") == "hub"
    assert user_for(found, "other.example/team/x") == "team"
    assert user_for(found, "other.example/teamwork") == "all"
    assert user_for(found, "registry.example/a") is None
    image = parse_image("registry.example:5000/a")
    assert auth_config(found.of(image), image) == {
        "username": "anna",
        "password": "pass:with:colons",
        "serveraddress": "registry.example:5000",
    }


def test_an_identity_token_is_used_in_the_password_s_place() -> None:
    found = read({"auths": {"r.example": {"auth": auth("<token>:"), "identitytoken": "t"}}})
    image = parse_image("r.example/x")
    assert auth_config(found.of(image), image) == {"identitytoken": "t", "serveraddress": "r.example"}


def test_nobody_is_said_to_be_nobody() -> None:
    assert auth_config(None, parse_image("x")) == {}


@pytest.mark.parametrize("value", [{}, {"auths": {}}, {"auths": None}])
def test_without_registries_nothing_is_known(value: object) -> None:
    assert read(value) == Credentials()


def test_the_old_form_has_the_registries_at_the_top() -> None:
    assert user_for(read({"r.example": {"auth": auth("old:x"), "email": "a@b"}}), "r.example/x") == "old"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"credsStore": "desktop"}, f"{PLACE}: credsStore: 'desktop' is not accepted"),
        ({"credHelpers": {"gcr.io": "gcloud"}}, f"{PLACE}: credHelpers: 'gcr.io' is not accepted"),
        ([], "write an object"),
        ({"auths": []}, f"{PLACE}: auths"),
        ({"auths": {"r.example": "x"}}, f"{PLACE}: auths[r.example]"),
        ({"auths": {"r.example": {}}}, "'no user'"),
        ({"auths": {"r.example": {"auth": 5}}}, "auths[r.example].auth"),
        ({"auths": {"r.example": {"auth": "%%%"}}}, "base64 of user:password"),
        ({"auths": {"r.example": {"auth": auth("nocolon")}}}, "base64 of user:password"),
        ({"auths": {"r.example": {"auth": auth(":x")}}}, "base64 of user:password"),
        ({"auths": {"https://": {"auth": auth("a:b")}}}, "write a registry"),
        ({"auths": {"a b": {"auth": auth("a:b")}}}, "write a registry"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(value: object, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(value)
    assert words in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (SIZE_LIMIT_BYTES + 1)])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="docker.json"):
        credentials_from(content, PLACE)


SECRET = "s3cret-4-nobody"


@given(
    st.dictionaries(
        st.sampled_from(["auth", "username", "password", "identitytoken", "email"]),
        st.sampled_from(["", "x", SECRET, auth(f"u:{SECRET}"), auth(SECRET), SECRET + "="]) | st.none() | st.integers(),
    ),
    st.text(max_size=12),
)
def test_no_error_and_no_repr_shows_a_secret(entry: dict[str, Any], registry: str) -> None:
    try:
        found = read({"auths": {registry: entry}})
    except InvalidRequest as refused:
        shown = str(refused)
    else:
        (credential,) = found.known
        shown = repr(Credential(place="x", user="u", password=credential.password, identity_token=SECRET))
    assert SECRET not in shown
    assert auth(f"u:{SECRET}") not in shown


JSON = st.dictionaries(
    st.sampled_from(["auths", "auth", "r.example"]), st.none() | st.text() | st.dictionaries(st.text(), st.text())
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_content_is_read_or_refused_by_its_place(content: bytes) -> None:
    try:
        shown = PLACE + str(credentials_from(content, PLACE))
    except InvalidRequest as refused:
        shown = str(refused)
    assert PLACE in shown
