"""What the kernel tests of isolators share."""

from pathlib import Path

import pytest

from isolators.testing import sample_container
from paddock.model.container import ContainerConfig


@pytest.fixture
def container(tmp_path: Path) -> ContainerConfig:
    """A quarter of a CPU, 64 MiB, 16 MiB of disk."""
    return sample_container(tmp_path / "sandbox")
