"""masterd's settings: Mesos' names, units, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masterd.config import MasterSettings
from masterd.setting_kinds import parse_weights
from paddock.daemon.config import Configuration, Shown
from paddock.model.errors import ConfigError, InvalidRequest


def load(tmp_path: Path, *flags: str, environment: dict[str, str] | None = None) -> MasterSettings:
    configuration = Configuration("masterd", "0", MasterSettings, str(tmp_path / "masterd.toml"))
    invocation = configuration.load(flags, environment or {})
    assert not isinstance(invocation, Shown)
    return invocation.settings


def test_defaults_are_mesos(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.unix_path == "/run/paddock/masterd.sock"
    assert not settings.tcp_address
    assert settings.core.ping_interval_ms == 15_000
    assert settings.core.ping_limit_count == 5
    assert settings.core.silence_limit_ns == 75_000_000_000
    assert settings.allocator_settings.interval_ns == 1_000_000_000


def test_what_is_ours_alone_is_on(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.core.offer_timeout_ms == 300_000
    allocator = settings.allocator_settings
    assert allocator.run_on_recovery
    assert allocator.nested_quota
    assert allocator.decline_backoff
    assert load(tmp_path, "--offer_timeout=0s").core.offer_timeout_ms == 0


def test_units_and_sources(tmp_path: Path) -> None:
    (tmp_path / "masterd.toml").write_text('allocation_interval = "500ms"\nweights = ["a/b=2", "c=0.5"]\n')
    settings = load(
        tmp_path,
        "--listen=unix:/x,127.0.0.1:5050",
        "--tcp_uid=0",
        environment={"PADDOCK_MASTERD_AGENT_PING_TIMEOUT": "2s"},
    )
    assert settings.allocator_settings.interval_ns == 500_000_000
    assert parse_weights(settings.weights) == (("a/b", 2000), ("c", 500))
    assert (settings.unix_path, settings.tcp_address, settings.tcp_uid) == ("/x", "127.0.0.1:5050", 0)
    assert settings.core.ping_interval_ms == 2_000


@pytest.mark.parametrize(
    "flag",
    [
        "--listen=",
        "--listen=unix:/a,unix:/b",
        "--listen=nowhere",
        "--weights=a",
        "--weights=a=0",
        "--weights=a=-1",
        "--weights=a=nan",
        "--weights=a=2000000",
        "--weights=a=1,a=2",
        "--weights=/=1",
        "--allocation-interval=0s",
        "--agent-ping-timeout=never",
        "--max-agent-ping-timeouts=0",
        "--state-dir=relative",
        "--log-level=loud",
        "--tcp-uid=0",
        "--min-allocatable-resources=cpus",
        "--min-allocatable-resources=cpus:1|",
        "--min-allocatable-resources=cpus:1;cpus:2",
        "--min-allocatable-resources=cpus:-1",
        "--fair-sharing-excluded-resource-names=gpus,,ports",
        "--fair-sharing-excluded-resource-names=gpus:1",
        "--filter-gpu-resources=maybe",
        "--allocator-agent-recovery-factor=1.1",
        "--allocator-agent-recovery-factor=-0.1",
        "--allocator-agent-recovery-factor=nan",
        "--allocator-recovery-timeout=0s",
        "--run-on-recovery=1",
        "--roles=a//b",
        "--roles=a,",
        "--whitelist=relative",
        "--whitelist=ftp:/hosts",
    ],
)
def test_what_is_refused(tmp_path: Path, flag: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, flag)


def test_what_is_refused_names_value_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "--min-allocatable-resources=cpus", "--allocator-agent-recovery-factor=2", "--roles=..")
    for words in (
        "--min-allocatable-resources: 'cpus' is not accepted: write name:number",
        "--allocator-agent-recovery-factor: '2' is not accepted: write a number from 0 to 1: 0.8",
        "--roles: '..' is not accepted: use '*' or components",
    ):
        assert words in str(caught.value)


def test_a_weight_is_of_a_role_that_may_be_had(tmp_path: Path) -> None:
    assert load(tmp_path, "--roles=a,b", "--weights=a=2,*=3").core.roles == frozenset({"a", "b", "*"})
    with pytest.raises(ConfigError, match="weights: c is none of `roles`"):
        load(tmp_path, "--roles=a,b", "--weights=a=2,c=2")


def test_what_is_shown_is_read_again(tmp_path: Path) -> None:
    flags = dict(Configuration("masterd", "0", MasterSettings, str(tmp_path / "masterd.toml")).flags())
    defaults = [
        f"{flag.partition('=')[0]}={words.rpartition('[')[2].removesuffix(']')}"
        for flag, words in flags.items()
        if not flag.startswith(("--config", "--check-config", "--version"))
    ]
    assert load(tmp_path, *defaults) == MasterSettings()


def test_a_weight_names_the_word() -> None:
    with pytest.raises(InvalidRequest, match="b=x"):
        parse_weights(("a=1", "b=x"))


def test_http_is_beside_grpc_or_where_it_is_said(tmp_path: Path) -> None:
    assert str(load(tmp_path).http_addresses) == "unix:/run/paddock/masterd.sock.http"
    assert not load(tmp_path, "--http-listen=none").http_addresses
    assert str(load(tmp_path, "--http_listen=127.0.0.1:5052,/x").http_addresses) == "unix:/x,127.0.0.1:5052"
    with pytest.raises(ConfigError, match=r"http_listen: 0\.0\.0\.0:5052: other machines could ask"):
        load(tmp_path, "--http-listen=0.0.0.0:5052")
    assert load(tmp_path, "--http-listen=0.0.0.0:5052", "--insecure").http_addresses.is_exposed


@given(
    flag=st.sampled_from(
        (
            "min-allocatable-resources",
            "fair-sharing-excluded-resource-names",
            "allocator-agent-recovery-factor",
            "allocator-recovery-timeout",
            "roles",
            "weights",
            "whitelist",
        )
    ),
    text=st.text(max_size=20) | st.text("ab12.:;|=,/* -e", max_size=12),
)
def test_any_text_is_a_value_or_a_configuration_error(flag: str, text: str) -> None:
    try:
        settings = load(Path("/nonexistent"), f"--{flag}={text}")
    except ConfigError as error:
        words = str(error)
    else:
        assert settings.core.roles is None or "*" in settings.core.roles
        assert 0 <= settings.allocator_settings.recovery_share <= 1
        assert all(milli >= 0 for each in settings.allocator_settings.minimum for milli in each.values())
        return
    assert flag in words
