"""`paddock run --health-…` and `--check-…`: a check, or a refusal that names the flag."""

import argparse

import pytest

from paddock.cli.health_flags import add_check_arguments, add_health_arguments, check_of, health_check_of
from paddock.model.errors import InvalidRequest
from paddock.model.health import Check, HealthCheck, HttpCheck, TcpCheck


def read(*words: str) -> HealthCheck | None:
    parser = argparse.ArgumentParser()
    add_health_arguments(parser)
    return health_check_of(parser.parse_args(words))


def read_check(*words: str) -> Check | None:
    parser = argparse.ArgumentParser()
    add_check_arguments(parser)
    return check_of(parser.parse_args(words))


def test_without_a_flag_there_is_no_check() -> None:
    assert read() is None


def test_every_kind_with_mesos_defaults() -> None:
    assert read("--health-cmd=test -e ok") == HealthCheck(command="test -e ok")
    assert read("--health-tcp=80") == HealthCheck(tcp=TcpCheck(port=80))
    assert read("--health-http=8080") == HealthCheck(http=HttpCheck(port=8080))
    assert read("--health-http=https:8443/a?b=1") == HealthCheck(
        http=HttpCheck(port=8443, path="/a?b=1", scheme="https")
    )


def test_times_and_count() -> None:
    words = (
        "--health-delay=0",
        "--health-interval=200ms",
        "--health-timeout=1",
        "--health-grace=1m",
        "--health-failures=7",
    )
    assert read("--health-cmd=x", *words) == HealthCheck(
        command="x", delay_ms=0, interval_ms=200, timeout_ms=1000, grace_ms=60_000, failure_count=7
    )


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--health-cmd=x", "--health-tcp=80"), "--health-tcp"),
        (("--health-http=80", "--health-tcp=80"), "--health-tcp"),
        (("--health-interval=5s",), "--health-interval"),
        (("--health-failures=5",), "--health-failures"),
        (("--health-cmd=x", "--health-interval=99ms"), "--health-interval"),
        (("--health-cmd=x", "--health-timeout=0"), "--health-timeout"),
        (("--health-cmd=x", "--health-delay=soon"), "--health-delay"),
        (("--health-cmd=x", "--health-failures=0"), "--health-failures"),
        (("--health-cmd=x", "--health-failures=-1"), "--health-failures"),
        (("--health-tcp=0",), "--health-tcp"),
        (("--health-tcp=65536",), "--health-tcp"),
        (("--health-tcp=http",), "--health-tcp"),
        (("--health-http=ftp:80",), "--health-http"),
        (("--health-http=99999/x",), "--health-http"),
        (("--health-http=/x",), "--health-http"),
    ],
)
def test_what_is_wrong_names_its_flag(words: tuple[str, ...], flag: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(*words)
    assert refused.value.field == flag


def test_a_check_that_only_informs() -> None:
    assert read_check() is None
    assert read_check("--check-tcp=80") == Check(tcp=TcpCheck(port=80))
    assert read_check("--check-http=8080/x", "--check-timeout=1") == Check(
        http=HttpCheck(port=8080, path="/x"), timeout_ms=1000
    )
    assert read_check("--check-cmd=x", "--check-delay=0", "--check-interval=1m") == Check(
        command="x", delay_ms=0, interval_ms=60_000
    )


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--check-cmd=x", "--check-tcp=80"), "--check-tcp"),
        (("--check-interval=5s",), "--check-interval"),
        (("--check-cmd=x", "--check-interval=99ms"), "--check-interval"),
        (("--check-cmd=x", "--check-timeout=0"), "--check-timeout"),
        (("--check-tcp=0",), "--check-tcp"),
        (("--check-http=ftp:80",), "--check-http"),
    ],
)
def test_what_is_wrong_with_it_names_its_flag(words: tuple[str, ...], flag: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_check(*words)
    assert refused.value.field == flag
