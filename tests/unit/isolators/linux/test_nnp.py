"""linux/nnp: on unless the task says otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import IsolatorSettings
from isolators.linux.nnp import NoNewPrivilegesIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.task import ContainerInfo, LinuxInfo


@pytest.mark.parametrize(("asked", "planned"), [(None, True), (True, True), (False, False)])
def test_on_by_default(tmp_path: Path, asked: bool | None, planned: bool) -> None:
    container = sample_container(tmp_path / "sandbox")
    container = replace(container, container=ContainerInfo(linux=LinuxInfo(no_new_privileges=asked)))
    isolator = NoNewPrivilegesIsolator(sample_host(tmp_path, "v1"), IsolatorSettings())
    assert isolator.prepare(container).no_new_privileges is planned
