"""Where HTTP is served: beside the gRPC socket unless it is said otherwise, and to other machines only by explicit word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.http.addresses import HttpAddresses, http_addresses
from paddock.model.errors import ConfigError, InvalidRequest


def read(*words: str, insecure: bool = False) -> HttpAddresses:
    return http_addresses(
        words, grpc_unix_path="/run/paddock/agentd.sock", grpc_tcp="127.0.0.1:5051", insecure=insecure
    )


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), "unix:/run/paddock/agentd.sock.http"),
        (("none",), "none"),
        (("unix:/x",), "unix:/x"),
        (("127.0.0.1:5052",), "127.0.0.1:5052"),
        (("127.8.0.1:5052",), "127.8.0.1:5052"),
        (("[::1]:5052", "/x"), "unix:/x,[::1]:5052"),
        (("localhost:1",), "localhost:1"),
    ],
)
def test_what_is_accepted(words: tuple[str, ...], shown: str) -> None:
    addresses = read(*words)
    assert str(addresses) == shown
    assert bool(addresses) is (shown != "none")
    assert not addresses.is_exposed


def test_without_a_unix_socket_for_grpc_there_is_none_for_http() -> None:
    assert not http_addresses((), grpc_unix_path="", grpc_tcp="127.0.0.1:5051", insecure=False)


@pytest.mark.parametrize("word", ["127.0.0.1:5051", "unix:/run/paddock/agentd.sock", "/run/paddock/agentd.sock"])
def test_where_grpc_listens_nothing_else_can(word: str) -> None:
    with pytest.raises(ConfigError, match="gRPC listens there") as refused:
        read(word)
    assert word.removeprefix("unix:") in str(refused.value)


def test_a_path_beside_the_grpc_socket_may_be_too_long() -> None:
    path = f"/{'x' * 104}"
    with pytest.raises(InvalidRequest, match="http_listen.*at most 107 bytes, not 110"):
        http_addresses((), grpc_unix_path=path, grpc_tcp="", insecure=False)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:5052", "[::]:5052", "192.0.2.1:80", "host.example:80", "[2001:db8::1]:80"]
)
def test_other_machines_need_the_explicit_word(address: str) -> None:
    with pytest.raises(ConfigError, match="set insecure too") as refused:
        read(address)
    assert address in str(refused.value)
    assert read(address, insecure=True).is_exposed


@pytest.mark.parametrize("words", [("/x", "/y"), ("127.0.0.1:1", "127.0.0.1:2")])
def test_two_of_a_kind_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="at most one unix:/path and one host:port"):
        read(*words)


@pytest.mark.parametrize("word", ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "unix:x", "none,none", ""])
def test_what_is_no_address_is_named(word: str) -> None:
    with pytest.raises(InvalidRequest, match="http_listen"):
        read(word)


@given(st.lists(st.text(max_size=20), max_size=3), st.booleans())
def test_any_words_are_addresses_or_refused_by_name(words: list[str], insecure: bool) -> None:
    try:
        addresses = read(*words, insecure=insecure)
    except (ConfigError, InvalidRequest) as error:
        assert "http_listen" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert insecure or not addresses.is_exposed
