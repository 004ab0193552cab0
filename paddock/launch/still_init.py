"""The still init: PID 1 of every container, a static program of some 250 bytes.

Neither the shim nor the command is PID 1: whoever may ptrace PID 1 owns what it has, so PID 1 has nothing. Its source is
beside this file (still_init_<machine>.S); a test builds it anew and compares.
"""

from __future__ import annotations

import os

from paddock.kernel.descriptors import make_executable_memfd

BYTES = {
    "x86_64": bytes.fromhex(
        "7f454c4602010100000000000000000002003e000100000078004000000000004000000000000000000000000000000000000000"
        "4000380001000000000000000100000005000000000000000000000000004000000000000000400000000000fc00000000000000"
        "fc00000000000000001000000000000031c0b90800000050ffc975fb48c7042401000000b80d000000bf110000004889e631d241"
        "ba080000000f05b89d000000bf26000000be0100000031d24531d24531c00f05c7042422050820c744240400000000b87e000000"
        "4889e7488d7424100f0531c031ff4889e6ba010000000f054883f8fc74ec4885c07fe7b8e700000031ff0f05"
    ),
    "aarch64": bytes.fromhex(
        "7f454c460201010000000000000000000200b7000100000078004000000000004000000000000000000000000000000000000000"
        "40003800010000000000000001000000050000000000000000000000000040000000000000004000000000001001000000000000"
        "10010000000000000000010000000000ff7fbca9ff7f01a9ff7f02a9ff7f03a9200080d2e00300f9c81080d2200280d2e1030091"
        "020080d2030180d2010000d4e81480d2c00480d2210080d2020080d2030080d2040080d2010000d440a480520001a472e00300f9"
        "680b80d2e0030091e1430091010000d4e80780d2000080d2e1030091220080d2010000d41f1000b140ffff541f0000f10cffff54"
        "c80b80d2000080d2010000d4"
    ),
}


def bytes_for(machine: str) -> bytes | None:
    """The program for this processor (as uname names it); None where it has not been written."""
    return BYTES.get(machine)


def open_program(content: bytes) -> int:
    """A descriptor from which the program can be executed by /proc/self/fd/<fd>."""
    return make_executable_memfd("paddock-init", content)


def write_program(content: bytes, directory: str) -> int:
    """The same as a file, for a kernel that lets no memfd be executed (vm.memfd_noexec=2); `directory` must allow exec."""
    path = os.path.join(directory, f"still-init-{os.getpid()}")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o500)
    try:
        os.write(fd, content)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
        os.unlink(path)
