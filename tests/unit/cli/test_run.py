"""What `paddock run` makes of its flags."""

from __future__ import annotations

import argparse

import pytest

from paddock.cli import run
from paddock.cli.run_request import RunRequest
from paddock.model.errors import InvalidRequest
from paddock.model.task import LogPolicy, ResourceLimits


def request(*flags: str) -> RunRequest:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(flags)
    arguments.command = ["true"]
    return run.request_of(arguments)


def log_policy(*flags: str) -> LogPolicy:
    return request(*flags).log_policy


def test_a_memory_limit_below_the_request_is_named_with_it() -> None:
    with pytest.raises(InvalidRequest, match=r"--mem-limit: '1MiB' .* --mem, 64MiB"):
        request("--mem-limit=1MiB")
    assert request("--mem=1MiB", "--mem-limit=1MiB").limits.memory_bytes == 1 << 20
    assert request("--mem-limit=none", "--cpus-limit=none").limits == ResourceLimits(memory_bytes=-1, cpus_milli=-1)


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
