"""What `paddock run` makes of its flags."""

from __future__ import annotations

import argparse

import pytest

from paddock.cli import run
from paddock.model.errors import InvalidRequest
from paddock.model.task import LogPolicy


def log_policy(*flags: str) -> LogPolicy:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(flags)
    arguments.command = ["true"]
    return run.request_of(arguments).log_policy


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), LogPolicy()),
        (("--log-size=64KiB",), LogPolicy(file_bytes=65536)),
        (("--log-size=3", "--log-files=1"), LogPolicy(file_bytes=3 << 20, file_count=1)),
        (("--log-size=none",), LogPolicy(file_bytes=-1)),
        (("--log-files=100",), LogPolicy(file_count=100)),
    ],
)
def test_how_its_logs_rotate(flags: tuple[str, ...], expected: LogPolicy) -> None:
    assert log_policy(*flags) == expected


@pytest.mark.parametrize(
    "flag",
    ["--log-size=63KiB", "--log-size=0", "--log-size=x", "--log-size=1025TiB", "--log-files=0", "--log-files=101"],
)
def test_a_wrong_size_or_count_is_named(flag: str) -> None:
    name, _, value = flag.partition("=")
    with pytest.raises(InvalidRequest) as caught:
        log_policy(flag)
    assert caught.value.field == name
    assert value in str(caught.value)
