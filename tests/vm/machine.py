"""A virtual machine for tests: boots the image, runs commands in it, and leaves nothing behind.

Emulated (TCG), because the machines that test Paddock have no usable KVM: Python runs about eleven times slower inside.
The disks are opened with a temporary overlay that qemu has already unlinked, so a machine ends by SIGKILL; it also ends
when the process that booted it dies. Nothing of the host is changed: no network, no mount, no module.
"""

from __future__ import annotations

import argparse
import base64
import compileall
import json
import os
import py_compile
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.vm.guest import PORT_NAME
from tests.vm.image import ENGINE_RECIPE, RECIPE, Image, Recipe, image, make_disk

SLOWDOWN = 11  # measured: Python inside against Python outside
TIME_SCALE_VARIABLE = "PADDOCK_TEST_TIME_SCALE"  # tests multiply their deadlines by it
BOOT_TIMEOUT_S = 300.0  # on a busy host; a quiet one needs ten
RUN_TIMEOUT_S = 60.0
MEMORY_MIB = 2048
CPU_COUNT = 2
TREE_DISK_BYTES = 1 << 30

TREE = Path(__file__).resolve().parents[2]
GUEST_TREE = "/paddock/tree"

# Not wanted inside: history, the environment (its packages come separately), what runs leave behind.
_LEFT_OUT = ("build", "dist", "node_modules")


class MachineError(Exception):
    """The machine did not boot, or does not answer: names what was tried, and shows the end of its console."""


class CgroupLayout(Enum):
    """Which cgroup hierarchy systemd mounts: the kernel command line decides."""

    V2 = ""
    V1 = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 swapaccount=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command in the machine ended; a negative exit code is minus the signal. Output is both streams."""

    exit_code: int
    output: str

    def checked(self) -> str:
        """The output, if the exit code is 0; else an AssertionError that shows both."""
        assert self.exit_code == 0, f"exit code {self.exit_code}, output:\n{self.output}"
        return self.output


class Machine:
    """A booted machine. One command at a time."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, console: Path) -> None:
        self._process = process
        self._control = control
        self._console = console
        self._rest = b""
        self._last_id = 0

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when the guest program answers."""
        deadline_s = time.monotonic() + timeout_s
        while "ready" not in self._receive(deadline_s, doing="booting"):
            pass

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = RUN_TIMEOUT_S,
        on_output: Callable[[str], object] | None = None,
    ) -> Finished:
        """Run a command as root, in the tree, to its end, passing its output on as it comes; killed at the time-out."""
        self._last_id += 1
        self._send(
            {
                "id": self._last_id,
                "op": "run",
                "argv": list(argv),
                "environment": _environment(),
                "input": base64.b64encode(stdin).decode(),
            }
        )
        output = bytearray()
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                message = self._receive(deadline_s, doing=f"running {list(argv)}")
            except MachineError as error:
                self._send({"id": self._last_id, "op": "kill"})
                raise MachineError(f"{error}\n--- its output:\n{output.decode(errors='replace')[-4000:]}") from None
            if message.get("id") != self._last_id:
                continue  # the end of a command that was given up earlier
            if "output" in message:
                piece = base64.b64decode(str(message["output"]))
                output += piece
                if on_output is not None:
                    on_output(piece.decode(errors="replace"))
            elif "exit" in message:
                return Finished(exit_code=int(str(message["exit"])), output=output.decode(errors="replace"))

    def _send(self, message: Mapping[str, object]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self, deadline_s: float, *, doing: str) -> Mapping[str, object]:
        while b"\n" not in self._rest:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise MachineError(f"time-out while {doing}; its console:\n{self._console_end()}")
            if not select.select([self._control], [], [], left_s)[0]:
                continue
            received = self._control.recv(65536)
            if not received:
                code = self._process.poll()
                raise MachineError(f"qemu ended ({code}) while {doing}; its console:\n{self._console_end()}")
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        message: Mapping[str, object] = json.loads(line)
        return message

    def _console_end(self) -> str:
        return self._console.read_text(errors="replace")[-4000:] if self._console.exists() else "(empty)"


def _environment() -> dict[str, str]:
    """What a login would set, and how slow the machine is."""
    return {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        TIME_SCALE_VARIABLE: str(SLOWDOWN),
    }


@contextmanager
def booted(layout: CgroupLayout = CgroupLayout.V2, recipe: Recipe = RECIPE) -> Iterator[Machine]:
    """A machine that answers, with this tree in it; killed and gone, with its files, at the end of the block."""
    with ExitStack() as stack:
        base = image(recipe)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paddock-machine-")))
        disk = work / "tree.img"
        _make_tree_disk(disk, work)
        socket_path, console, log = work / "control", work / "console", work / "qemu.log"
        command = _qemu_command(base, disk, layout, socket_path, console)
        with log.open("wb") as words:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd="/")
        stack.callback(_end, process)
        control = stack.enter_context(_connected(socket_path, process, log))
        machine = Machine(process, control, console)
        machine.wait_until_ready(BOOT_TIMEOUT_S)
        yield machine


def _qemu_command(base: Image, disk: Path, layout: CgroupLayout, control: Path, console: Path) -> list[str]:
    # setpriv: if we die without a word, the kernel kills the machine.
    # no_timer_check: on a busy host the emulated timer comes too late for the kernel, which then does not boot.
    boot = f"root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 mitigations=off no_timer_check {layout.value}".strip()
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"),
        *("-smp", str(CPU_COUNT), "-m", str(MEMORY_MIB)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-net", "none"),
        *("-kernel", str(base.kernel)),
        *("-append", boot),
        *("-drive", f"file={base.disk},format=raw,if=none,id=root,snapshot=on"),
        *("-device", "nvme,drive=root,serial=root"),
        *("-drive", f"file={disk},format=raw,if=none,id=tree,snapshot=on"),
        *("-device", "nvme,drive=tree,serial=tree"),
        *("-chardev", f"socket,id=control,path={control},server=on,wait=off"),
        *("-device", "virtio-serial", "-device", f"virtserialport,chardev=control,name={PORT_NAME}"),
        *("-serial", f"file:{console}"),
    ]


def _make_tree_disk(disk: Path, work: Path) -> None:
    """Copy the working tree, as it is now, and this environment's packages into a disk image."""
    staged = work / "staged"
    staged.mkdir()
    shutil.copytree(
        TREE,
        staged / "tree",
        symlinks=True,
        ignore=lambda _directory, names: {name for name in names if name.startswith(".") or name in _LEFT_OUT},
    )
    # Compiled out here, where it costs a second: each daemon and test inside would spend eleven times that on its part.
    # By the contents, because the disk may keep other times than this file system.
    compileall.compile_dir(
        staged / "tree",
        quiet=2,
        stripdir=str(staged / "tree"),
        prependdir=GUEST_TREE,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    # Hard links where the file system allows: some hundred MB of packages in no time. Times stay, so .pyc files count.
    packages = staged / "site-packages"
    shutil.copytree(sysconfig.get_path("purelib"), packages, symlinks=True, copy_function=_link)
    (packages / "paddock-tree.pth").write_text(f"{GUEST_TREE}\n")
    make_disk(staged, disk, size_bytes=TREE_DISK_BYTES, label="paddock-tree")
    shutil.rmtree(staged)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@contextmanager
def _connected(path: Path, process: subprocess.Popen[bytes], log: Path) -> Iterator[socket.socket]:
    """A connection to qemu's end of the port, from before the guest opens it."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with control:
        deadline_s = time.monotonic() + 10.0
        while True:
            try:
                control.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise MachineError(f"qemu did not start: {log.read_text(errors='replace')[-2000:]}") from None
                time.sleep(0.02)
        yield control


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill qemu by its pidfd and wait: the number alone could already be somebody else's."""
    if process.poll() is None:
        pidfd = os.pidfd_open(process.pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    process.wait()


def main() -> int:
    """Run the command of the command line in a machine and return its exit code: for people, `--v1` for cgroup v1."""
    arguments = argparse.ArgumentParser(prog="python -m tests.vm.machine", description=main.__doc__)
    arguments.add_argument("--v1", action="store_true", help="boot with cgroup v1")
    arguments.add_argument("--engine", action="store_true", help="boot the image that has docker.io")
    arguments.add_argument("--timeout-s", type=float, default=600.0)
    arguments.add_argument("command", nargs="+", help="after `--`")
    asked = arguments.parse_args()
    # By default SIGTERM would end us without the clean-up.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    layout = CgroupLayout.V1 if asked.v1 else CgroupLayout.V2
    with booted(layout, ENGINE_RECIPE if asked.engine else RECIPE) as machine:
        return machine.run(asked.command, timeout_s=asked.timeout_s, on_output=show).exit_code


def show(text: str) -> None:
    """Print what a command wrote, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
