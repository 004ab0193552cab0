"""posix/rlimits: passed on as asked, or refused by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import IsolatorSettings
from isolators.posix.rlimits import NAMES, RlimitsIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.errors import InvalidRequest
from paddock.model.launch_plan import LaunchPlan
from paddock.model.task import ContainerInfo, Rlimit


def plan(tmp_path: Path, *rlimits: Rlimit) -> LaunchPlan:
    container = replace(sample_container(tmp_path / "sandbox"), container=ContainerInfo(rlimits=rlimits))
    return RlimitsIsolator(sample_host(tmp_path, "v1"), IsolatorSettings()).prepare(container)


def test_mesos_sixteen() -> None:
    assert len(NAMES) == 16


def test_passed_on_in_order(tmp_path: Path) -> None:
    wanted = (Rlimit(resource="RLMT_NOFILE", soft=64, hard=128), Rlimit(resource="RLMT_CORE"))
    assert plan(tmp_path, *wanted).rlimits == wanted


@pytest.mark.parametrize(
    "rlimits",
    [
        (Rlimit(resource="NOFILE", soft=1, hard=1),),
        (Rlimit(resource="RLMT_NOFILE", soft=1),),
        (Rlimit(resource="RLMT_NOFILE", hard=1),),
        (Rlimit(resource="RLMT_NOFILE", soft=2, hard=1),),
        (Rlimit(resource="RLMT_NOFILE", soft=-1, hard=1),),
        (Rlimit(resource="RLMT_NOFILE", soft=1, hard=2**64),),
        (Rlimit(resource="RLMT_NOFILE", soft=1, hard=1), Rlimit(resource="RLMT_NOFILE", soft=2, hard=2)),
    ],
)
def test_refused_by_name(tmp_path: Path, rlimits: tuple[Rlimit, ...]) -> None:
    with pytest.raises(InvalidRequest, match=r"container\.rlimits\[[01]\]"):
        plan(tmp_path, *rlimits)
