"""The still init's bytes are what its source builds, on both processors, and they do what is said of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from paddock.launch import still_init

SOURCES = Path(still_init.__file__).parent
# Debian: binutils and binutils-aarch64-linux-gnu; qemu-user runs the other processor's program.
PREFIXES = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}


def tool(machine: str, name: str) -> str:
    found = shutil.which(PREFIXES[machine] + name) or (shutil.which(name) if os.uname().machine == machine else None)
    assert found, f"no {name} for {machine}: install binutils-{machine.replace('_', '-')}-linux-gnu"
    return found


@pytest.mark.parametrize("machine", sorted(still_init.BYTES))
def test_the_bytes_are_built_from_the_source(machine: str, tmp_path: Path) -> None:
    made, binary = tmp_path / "init.o", tmp_path / "init.bin"
    source = SOURCES / f"still_init_{machine}.S"
    subprocess.run([tool(machine, "as"), source, "-o", made], check=True)
    subprocess.run([tool(machine, "objcopy"), "-O", "binary", "-j", ".text", made, binary], check=True)
    assert binary.read_bytes() == still_init.BYTES[machine]
    assert len(still_init.BYTES[machine]) < 512


@pytest.mark.parametrize("machine", sorted(still_init.BYTES))
def test_it_sleeps_until_its_lifeline_ends(machine: str, tmp_path: Path) -> None:
    program = tmp_path / "init"
    program.write_bytes(still_init.BYTES[machine])
    program.chmod(0o700)
    command = [str(program)] if os.uname().machine == machine else [f"qemu-{machine}", str(program)]
    running = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(b"noise is not the end")
    running.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.3)
    running.stdin.close()
    assert running.wait(20) == 0


def test_no_bytes_for_other_processors() -> None:
    assert still_init.bytes_for("riscv64") is None


def test_the_file_where_memory_may_not_be_executed(tmp_path: Path) -> None:
    content = still_init.BYTES["x86_64"]
    for fd in (still_init.open_program(content), still_init.write_program(content, str(tmp_path))):
        assert os.pread(fd, 1000, 0) == content
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
        os.close(fd)
    assert list(tmp_path.iterdir()) == []
