"""Addresses, and which master is asked."""

from __future__ import annotations

import pytest

from paddock.model.errors import ConfigError, InvalidRequest, PermissionRefused
from paddock.rpc.channel import Address, parse_address
from paddock.rpc.leader import StaticMasters
from paddock.rpc.principal import OwnUidOnly, Principal


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", Address(unix_path="/run/a.sock")),
        ("unix:///run/a.sock", Address(unix_path="/run/a.sock")),
        ("/run/a.sock", Address(unix_path="/run/a.sock")),
        ("host:5050", Address(tcp="host:5050")),
        ("10.0.0.1:1", Address(tcp="10.0.0.1:1")),
        ("[::1]:65535", Address(tcp="[::1]:65535")),
    ],
)
def test_the_forms_of_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:0", "host:65536", "unix:relative", "unix:/a\0b", "a b:1", "::1:5", "a:1:2"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="unix:/path or host:port"):
        parse_address(text)


def test_a_path_of_a_socket_is_as_long_as_the_kernel_takes_it() -> None:
    longest = f"/{'é' * 53}"
    assert parse_address(longest).unix_path == longest
    with pytest.raises(InvalidRequest, match="listen: .*at most 107 bytes, not 108"):
        parse_address(f"{longest}x", "listen")


def test_masters_are_walked_round_and_a_named_leader_comes_first() -> None:
    masters = StaticMasters(("unix:/a", "unix:/b"))
    a, b, c = (parse_address(f"unix:/{name}") for name in "abc")
    assert masters.current() == a
    masters.failed(a)
    assert masters.current() == b
    masters.failed(a)
    assert masters.current() == b
    masters.redirected("unix:/c")
    assert masters.current() == c
    masters.failed(c)
    assert masters.current() == b
    masters.redirected("")
    assert masters.current() == a
    masters.redirected("nonsense")
    assert masters.current() == b


def test_no_master_at_all_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="master"):
        StaticMasters(())


def test_a_uid_may_do_what_is_its_own_and_root_everything() -> None:
    rule = OwnUidOnly()
    rule.authorize(Principal(uid=0), "kill container c1", 1000)
    rule.authorize(Principal(uid=1000), "kill container c1", 1000)
    with pytest.raises(PermissionRefused, match="uid 1001 may not kill container c1: it belongs to uid 1000"):
        rule.authorize(Principal(uid=1001), "kill container c1", 1000)
    with pytest.raises(PermissionRefused):
        rule.authorize(Principal(uid=1001), "run a task as root", 0)
