"""What the agent offers and who it is."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agentd.config import Settings, configuration
from agentd.host import agent_identity, agent_info, host_resources
from agentd.lock import StateLock
from agentd.users import Users
from paddock.daemon.config import Invocation
from paddock.model.errors import ConfigError, InvalidRequest
from paddock.model.ids import AgentId
from paddock.model.resource_text import format_resources


def settings(*arguments: str) -> Settings:
    found = configuration().load(arguments, {})
    assert isinstance(found, Invocation)
    return found.settings


def test_what_is_named_counts_and_the_rest_is_found_less_a_reserve(tmp_path: Path) -> None:
    resources = host_resources(replace(Settings(), resources="cpus:1.5;gpus:2", work_dir=f"{tmp_path}/not/yet"))
    assert resources.scalar_milli("cpus") == 1500
    assert resources.scalar_milli("gpus") == 2000
    total_mib = psutil.virtual_memory().total // 2**20
    assert resources.scalar_milli("mem") // 1000 in {total_mib - 1024, total_mib // 2}
    assert "ports:[31000-32000]" in format_resources(resources)


def test_an_explicit_zero_is_not_detected() -> None:
    assert host_resources(replace(Settings(), resources="cpus:0;disk:0;mem:0")).scalar_milli("cpus") == 0


def test_the_identity_is_made_once(tmp_path: Path) -> None:
    made = agent_identity(str(tmp_path))
    assert agent_identity(str(tmp_path)) == made
    assert len(made) == 12
    (tmp_path / "agent-id").write_text("../x\n")
    with pytest.raises(InvalidRequest):
        agent_identity(str(tmp_path))


def test_the_lock_names_its_owner(tmp_path: Path) -> None:
    first, second = StateLock(str(tmp_path)), StateLock(str(tmp_path))
    first.take()
    with pytest.raises(ConfigError, match=r"agentd with pid [0-9]+ uses this state already"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_the_address_of_all_interfaces_is_told_under_the_hosts_name() -> None:
    made = settings("--listen=unix:/run/a.sock,0.0.0.0:5051", "--insecure", "--hostname=h1", "--attributes=rack:r1")
    info = agent_info(made, AgentId("a1"), host_resources(made), boot_id="b", version="1", tcp_port=5051)
    assert (info.unix_address, info.tcp_address, info.hostname) == ("unix:/run/a.sock", "h1:5051", "h1")
    assert info.containerizers == ("native",)
    assert info.attributes[0].name == "rack"


def test_what_it_runs_is_told_in_the_operators_order() -> None:
    made = settings("--containerizers=docker,native")
    info = agent_info(made, AgentId("a1"), host_resources(made), boot_id="b", version="1", tcp_port=0)
    assert info.containerizers == ("docker", "native")


def test_isolators_get_their_settings_in_their_units() -> None:
    made = settings("--container-disk-watch-interval=1s", "--default-pids-limit=77", "--bounding-capabilities=CAP_KILL")
    given = made.for_isolators
    assert given.container_disk_watch_interval_ms == 1000
    assert given.default_pids_limit_count == 77
    assert given.bounding_capabilities == ("CAP_KILL",)


def test_sandboxes_are_not_counted_without_a_pause() -> None:
    with pytest.raises(ConfigError, match="--container-disk-watch-interval: '0s' is not accepted: write at least 10ms"):
        settings("--container-disk-watch-interval=0s")


async def test_users_of_this_host() -> None:
    users = Users()
    root = await users.by_name("root", "command.user")
    assert (root.uid, root.gid, root.home) == (0, 0, "/root")
    assert await users.by_uid(0, "x") == root
    nameless = await users.by_uid(3_999_999_999, "x")
    assert (nameless.name, nameless.uid, nameless.home) == ("3999999999", 3_999_999_999, "/")
    with pytest.raises(InvalidRequest, match=r"command\.user"):
        await users.by_name("no such user", "command.user")
    with pytest.raises(InvalidRequest):
        await users.by_name("a\0b", "command.user")
