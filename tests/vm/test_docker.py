"""Docker tasks on cgroup v2, under systemd, in a virtual machine of their own that has Debian's docker.io."""

from __future__ import annotations

import pytest

from tests.vm.image import ENGINE_RECIPE
from tests.vm.machine import booted, show
from tests.vm.suite import run_suite

TIMEOUT_S = 2100.0

# With the image, from nothing, two minutes on a quiet host.
pytestmark = [pytest.mark.long, pytest.mark.timeout(TIMEOUT_S + 900)]


def test_docker_tasks_on_cgroup_v2(capsys: pytest.CaptureFixture[str]) -> None:
    with booted(recipe=ENGINE_RECIPE) as machine, capsys.disabled():
        print()
        result = run_suite(machine, "tests/vm/inside_docker.py", timeout_s=TIMEOUT_S, on_output=show)
    assert result.all_passed(), result.told()
