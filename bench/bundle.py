"""A container for the peers: an OCI bundle with the same program, limits and namespaces that Paddock is asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# The same for both sides of every pair.
MEMORY_BYTES = 64 << 20
CPUS_MILLI = 100
PIDS_COUNT = 64
CPU_SHARES = max(int(1024 * CPUS_MILLI / 1000), 2)

# Docker's default set, which is ours as well.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)


def make_bundle(directory: Path, arguments: Sequence[str]) -> Path:
    """Write config.json and a root file system with the program and the libraries it needs; return the directory."""
    root = directory / "rootfs"
    for name in ("bin", "proc", "dev", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    program = Path(arguments[0])
    for file in (program, *_libraries(program)):
        target = root / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    (directory / "config.json").write_text(json.dumps(_configuration(arguments, root)))
    return directory


def _libraries(program: Path) -> list[Path]:
    words = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout.split()
    return [Path(word) for word in words if word.startswith("/")]


def _configuration(arguments: Sequence[str], root: Path) -> dict[str, object]:
    capability_sets = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(arguments),
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": True,
            "capabilities": capability_sets,
        },
        "root": {"path": str(root), "readonly": False},
        "mounts": [
            {
                "destination": "/proc",
                "type": "proc",
                "source": "proc",
                "options": ["nosuid", "noexec", "nodev"],
            }
        ],
        # No cgroupsPath: each container gets a cgroup of its own name, so several can run at once.
        "linux": {
            "resources": {
                "memory": {"limit": MEMORY_BYTES, "swap": MEMORY_BYTES},
                "cpu": {"shares": CPU_SHARES},
                "pids": {"limit": PIDS_COUNT},
            },
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}],
        },
    }
