"""TCP that other machines reach is served by explicit wish only, and never in silence."""

from __future__ import annotations

import pytest

from agentd.config import configuration as agentd_configuration
from masterd.config import configuration as masterd_configuration
from paddock.daemon.config import Configuration, Invocation
from paddock.model.errors import ConfigError
from paddock.rpc import exposure

DAEMONS = [agentd_configuration(), masterd_configuration()]


@pytest.mark.parametrize(
    ("address", "exposed"),
    [
        ("127.0.0.1:1", False),
        ("127.8.0.1:1", False),
        ("[::1]:1", False),
        ("localhost:1", False),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("10.0.0.1:1", True),
        ("localhost.example.com:1", True),
    ],
)
def test_what_other_machines_reach(address: str, exposed: bool) -> None:
    assert exposure.is_exposed(address) is exposed


@pytest.mark.parametrize("configuration", DAEMONS)
def test_a_daemon_that_others_reach_wants_the_word(configuration: Configuration[object]) -> None:
    with pytest.raises(ConfigError, match=r"listen: 10\.0\.0\.1:5050: .*set insecure too"):
        configuration.load(["--listen=10.0.0.1:5050"], {})
    for words in (["--listen=10.0.0.1:5050", "--insecure"], ["--listen=127.0.0.1:5050"], []):
        assert isinstance(configuration.load(words, {}), Invocation)


@pytest.mark.parametrize("configuration", DAEMONS)
def test_a_uid_for_tcp_without_tcp_is_a_mistake(configuration: Configuration[object]) -> None:
    with pytest.raises(ConfigError, match="tcp_uid: it means nothing without a host:port in listen"):
        configuration.load(["--tcp-uid=0"], {})


def test_it_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    exposure.tell("127.0.0.1:1", None)
    exposure.tell("", None)
    assert caplog.text == ""
    exposure.tell("10.0.0.1:1", 0)
    assert "serves other machines without encryption" in caplog.text
