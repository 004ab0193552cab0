"""cgroup v2's files of waiting and of block devices: in the kernel's form, in part, or not at all."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.metrics.cgroup_files import Unified, read


def test_the_kernels_form(tmp_path: Path) -> None:
    (tmp_path / "cpu.pressure").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n"
    )
    (tmp_path / "memory.pressure").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    (tmp_path / "io.stat").write_text(
        "259:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=900 dios=0\n8:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n"
    )
    assert read(str(tmp_path)) == Unified(
        pressure_s=(("cpu", "some", 1.5), ("cpu", "full", 0.25), ("memory", "some", 0.0)),
        read_bytes=4097,
        written_bytes=102,
    )


def test_what_is_not_there_is_not_told(tmp_path: Path) -> None:
    assert read(str(tmp_path / "gone")) == Unified()
    (tmp_path / "io.stat").write_text("")
    assert read(str(tmp_path)) == Unified(read_bytes=0, written_bytes=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_read(tmp_path: Path, pressure: bytes, traffic: bytes) -> None:
    (tmp_path / "cpu.pressure").write_bytes(pressure)
    (tmp_path / "io.stat").write_bytes(traffic)
    read(str(tmp_path))
