"""`paddock update`: what is to change, read from its flags."""

import argparse

import pytest

from paddock.cli import update
from paddock.cli.__main__ import main
from paddock.cli.container_flags import limits_of
from paddock.cli.exit_codes import USAGE
from paddock.model.errors import InvalidRequest
from paddock.model.task import ResourceLimits


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    update.add_arguments(parser)
    return parser.parse_args(["t1", *words])


def test_only_what_is_given_changes() -> None:
    assert update.amounts_of(parsed()) == {}
    assert limits_of(parsed()) == ResourceLimits()
    assert update.amounts_of(parsed("--cpus=1.5", "--mem=1GiB")) == {"cpus": 1500, "mem": 1_024_000}
    assert limits_of(parsed("--pids=9", "--mem-limit=2GiB", "--swap=0")) == ResourceLimits(
        pids_count=9, memory_bytes=2**31, swap_bytes=0
    )
    assert limits_of(parsed("--cpus-limit=2")) == ResourceLimits(cpus_milli=2000)


def test_none_takes_a_limit_away() -> None:
    words = ("--cpus-limit=none", "--mem-limit=none", "--swap=none", "--pids=none")
    assert limits_of(parsed(*words)) == ResourceLimits(cpus_milli=-1, memory_bytes=-1, swap_bytes=-1, pids_count=-1)


@pytest.mark.parametrize("word", ["--cpus=x", "--mem=-1", "--disk=1XiB"])
def test_an_amount_that_is_none_names_its_flag(word: str) -> None:
    with pytest.raises(InvalidRequest, match=word.partition("=")[0]):
        update.amounts_of(parsed(word))


@pytest.mark.parametrize("word", ["--cpus-limit=x", "--cpus-limit=0", "--mem-limit=x", "--pids=0", "--swap=x"])
def test_a_limit_that_is_none_names_its_flag(word: str) -> None:
    with pytest.raises(InvalidRequest, match=word.partition("=")[0]):
        limits_of(parsed(word))


def test_nothing_to_change_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "t1"]) == USAGE
    assert "--cpus-limit" in capsys.readouterr().err
