"""cgroups/pids: the finite default, what is asked, what is refused, what is counted."""

from pathlib import Path

import pytest

from isolators.cgroups.pids import PIDS_MAX, PidsIsolator, writes
from isolators.contract import IsolatorSettings
from isolators.testing import sample_container, sample_host
from paddock.model.errors import InvalidRequest
from paddock.model.task import Evidence, PidsEvidence, ResourceLimits


@pytest.mark.parametrize(
    ("asked", "value"), [(None, "1024"), (1, "1"), (77, "77"), (PIDS_MAX, str(PIDS_MAX)), (-1, "max")]
)
def test_what_is_written(asked: int | None, value: str) -> None:
    (write,) = writes(ResourceLimits(pids_count=asked), default_count=1024)
    assert (write.controller, write.file, write.value, write.optional) == ("pids", "pids.max", value, False)


@pytest.mark.parametrize("asked", [0, -2, PIDS_MAX + 1, 2**63])
def test_what_the_kernel_would_refuse_is_refused_by_name(asked: int) -> None:
    with pytest.raises(InvalidRequest, match=r"limits\.pids"):
        writes(ResourceLimits(pids_count=asked), default_count=1024)


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_the_default_is_finite(tmp_path: Path, mode: str) -> None:
    isolator = PidsIsolator(sample_host(tmp_path, mode), IsolatorSettings())
    assert isolator.prepare(sample_container(tmp_path / "sandbox")).writes[0].value == "1024"


def test_refusals_are_evidence(tmp_path: Path) -> None:
    isolator = PidsIsolator(sample_host(tmp_path, "v1"), IsolatorSettings())
    container = sample_container(tmp_path / "sandbox")
    counters = {"pids/pids.max": "20\n", "pids/pids.events": "max 300\n", "pids/pids.peak": "20\n"}
    expected = Evidence(pids=PidsEvidence(limit_count=20, refused_count=300, peak_count=20))
    assert isolator.evidence(container.container_id, counters) == expected
    assert isolator.evidence(container.container_id, {}) == Evidence()
