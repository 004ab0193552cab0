"""The numbers of the system calls that call lists are made of: x86-64's own, and the table that newer processors share."""

from __future__ import annotations

import os

# name: (x86-64, the generic table of aarch64, riscv64 and loongarch64); arch/x86/entry/syscalls, asm-generic/unistd.h.
_NUMBERS = {
    "bind": (49, 200),
    "capset": (126, 91),
    "chdir": (80, 49),
    "clock_gettime": (228, 113),
    "clone3": (435, 435),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup3": (292, 24),
    "execve": (59, 221),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "fallocate": (285, 47),
    "fchown": (93, 55),
    "fcntl": (72, 25),
    "fdatasync": (75, 83),
    "flock": (73, 32),
    "fsync": (74, 82),
    "getpid": (39, 172),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
    "listen": (50, 201),
    "mkdirat": (258, 34),
    "mmap": (9, 222),
    "mount": (165, 40),
    "munmap": (11, 215),
    "openat": (257, 56),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pipe2": (293, 59),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "prlimit64": (302, 261),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "read": (0, 63),
    "recvmsg": (47, 212),
    "renameat2": (316, 276),
    "rt_sigaction": (13, 134),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "setgroups": (116, 159),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "socket": (41, 198),
    "splice": (275, 76),
    "statx": (332, 291),
    "sync_file_range": (277, 84),
    "umask": (95, 166),
    "unlinkat": (263, 35),
    "unshare": (272, 97),
    "wait4": (61, 260),
    "write": (1, 64),
}
_GENERIC = frozenset({"aarch64", "riscv64", "loongarch64"})


def numbers_of(machine: str) -> dict[str, int]:
    """Name → number on this processor (as uname names it); empty where nobody has written them down."""
    if machine == "x86_64":
        return {name: numbers[0] for name, numbers in _NUMBERS.items()}
    return {name: numbers[1] for name, numbers in _NUMBERS.items()} if machine in _GENERIC else {}


NUMBERS = numbers_of(os.uname().machine)
