"""namespaces/pid: its own namespaces and /proc, or a refusal."""

from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import IsolatorSettings
from isolators.namespaces.pid import PidNamespaceIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.errors import ContainerizerError
from paddock.model.launch_plan import LaunchPlan, MountStep
from paddock.model.task import ContainerInfo, LinuxInfo


def plan(tmp_path: Path, *, share: bool, settings: IsolatorSettings) -> LaunchPlan:
    container = sample_container(tmp_path / "sandbox")
    container = replace(container, container=ContainerInfo(linux=LinuxInfo(share_host_pid_namespace=share)))
    return PidNamespaceIsolator(sample_host(tmp_path, "v1"), settings).prepare(container)


def test_a_fresh_proc_without_devices_setuid_and_programs(tmp_path: Path) -> None:
    found = plan(tmp_path, share=False, settings=IsolatorSettings())
    assert found.namespaces == ("pid", "mnt", "ipc")
    assert found.mounts == (MountStep(source="proc", target="/proc", type="proc", flags=("nosuid", "nodev", "noexec")),)


def test_sharing_the_hosts_is_refused_unless_the_operator_lets(tmp_path: Path) -> None:
    with pytest.raises(ContainerizerError, match="--disallow_sharing_agent_pid_namespace"):
        plan(tmp_path, share=True, settings=IsolatorSettings())
    settings = IsolatorSettings(disallow_sharing_agent_pid_namespace=False)
    assert plan(tmp_path, share=True, settings=settings) == LaunchPlan()
