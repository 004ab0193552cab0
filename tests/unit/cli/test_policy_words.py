"""What people write for quotas, weights, reservations and volumes becomes what the master is asked, or is refused by name."""

from __future__ import annotations

import argparse

import pytest

from paddock.cli import maintenance, quota, volumes
from paddock.cli.quantities import amounts, amounts_text
from paddock.cli.reservation_request import reserved_resources
from paddock.cli.weights import weight_of
from paddock.model.errors import InvalidRequest
from paddock.model.offer import CreateVolumes, ShrinkVolume
from paddock.model.resources import Reservation


def parsed(module: object, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)  # type: ignore[attr-defined]
    return parser.parse_args(words)


def test_amounts_have_units_and_zeros_and_none() -> None:
    assert amounts("cpus:0.5;mem:1GiB;gpus:0", "--limit") == {"cpus": 500, "mem": 1_024_000, "gpus": 0}
    assert amounts("none", "--limit") == {}
    assert amounts(amounts_text({"cpus": 1, "mem": 0}), "--limit") == {"cpus": 1, "mem": 0}


@pytest.mark.parametrize("text", ["", ";", "cpus", "cpus:-1", "cpus(r):1", "ports:[1-2]", "none;cpus:1", "cpus:1,5"])
def test_what_are_no_amounts(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--limit"):
        amounts(text, "--limit")


def test_a_wish_says_what_stays() -> None:
    wish = quota.wish_of(parsed(quota, "set", "r", "--limit", "none"))
    assert (wish.role, wish.guarantees_milli, wish.limits_milli) == ("r", None, {})
    wish = quota.wish_of(parsed(quota, "remove", "r"))
    assert (wish.guarantees_milli, wish.limits_milli) == ({}, {})
    with pytest.raises(InvalidRequest, match="--guarantee, --limit, or both"):
        quota.wish_of(parsed(quota, "set", "r"))


@pytest.mark.parametrize(("module", "action"), [(quota, "plan"), (volumes, "grow"), (maintenance, "cancel")])
def test_without_an_action_the_actions_are_named(
    module: object, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(module)
    assert action in capsys.readouterr().err.splitlines()[-1]


def test_weights() -> None:
    assert weight_of("a=b=2.5") == ("a=b", 2_500)
    for word in ("a", "a=", "a=x", "a=-1", "a=0", "a=1000001"):
        with pytest.raises(InvalidRequest, match="ROLE=WEIGHT"):
            weight_of(word)


def test_resources_with_their_roles_and_what_they_refine() -> None:
    (cpus,) = reserved_resources("cpus(a/b):1", ["a"], expires_ms=7)
    assert cpus.reservations == (Reservation(role="a"), Reservation(role="a/b", dynamic=True, expires_ms=7))
    for text, refined in (("cpus:1", []), ("", []), ("cpus(*):1", []), ("cpus(r):1", ["-x"])):
        with pytest.raises(InvalidRequest):
            reserved_resources(text, refined)


def test_volumes() -> None:
    made = volumes.change_of(parsed(volumes, "create", "a1", "v", "--role", "r", "--role", "r/s", "--size", "1GiB"))
    assert isinstance(made, CreateVolumes)
    (volume,) = made.volumes
    assert [each.role for each in volume.reservations] == ["r", "r/s"]
    shrunk = volumes.change_of(parsed(volumes, "shrink", "a1", "v", "--size", "2"))
    assert isinstance(shrunk, ShrinkVolume)
    assert shrunk.by_milli == 2_000
    for words in (("grow", "a1", "v", "--size", "0"), ("grow", "a1", "v", "--size", "x"), ("destroy", "a1", "..")):
        with pytest.raises(InvalidRequest):
            volumes.change_of(parsed(volumes, *words))


@pytest.mark.parametrize(
    ("words", "start_ns", "length_ns"),
    [
        ((), 10**18, 0),
        (("--start", "2h"), 10**18 + 7_200 * 10**9, 0),
        (("--start", "2030-01-31T22:00:00Z", "--for", "30m"), 1_896_127_200 * 10**9, 1_800 * 10**9),
        (("--start", "2030-01-31T22:00:00+02:00"), 1_896_120_000 * 10**9, 0),
    ],
)
def test_windows(words: tuple[str, ...], start_ns: int, length_ns: int) -> None:
    window = maintenance.window_of(parsed(maintenance, "schedule", "h", *words), 10**18)
    assert (window.start_ns, window.duration_ns) == (start_ns, length_ns)


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--start", "tomorrow"), "--start"),
        (("--start", "2030-01-31T22:00:00"), "--start"),
        (("--start", "-1h"), "--start"),
        (("--for", "0s"), "--for"),
        (("--for", "x"), "--for"),
    ],
)
def test_what_are_no_windows(words: tuple[str, str], flag: str) -> None:
    arguments = parsed(maintenance, "schedule", "h", f"{words[0]}={words[1]}")
    with pytest.raises(InvalidRequest, match=flag):
        maintenance.window_of(arguments, 10**18)
