"""A tracer that is nobody of the container: what a debugger does to a process, and no more."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

_ATTACH, _DETACH, _SETOPTIONS, _CONT = 16, 17, 0x4200, 7
_SYSCALL, _GET_SYSCALL_INFO = 24, 0x420E
_STOP_AT_EXIT = 0x40
_TELL_CALLS = 1
_ANY_CHILD = 0x40000000
_INFO_BYTES = 88
_ENTRY, _EXIT = 1, 2
_CALL = signal.SIGTRAP | 0x80
_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _ask(request: int, pid: int, value: int = 0, address: int | None = None) -> None:
    if _ptrace(request, pid, address, value) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {request} of {pid}")


def attach(pid: int, *, stops_at_exit: bool = False) -> None:
    """It is stopped when this returns, and stays so: this thread has become its tracer. `stops_at_exit`: on its way out too."""
    _ask(_ATTACH, pid)
    # A signal of its own may have stopped it before ours does.
    while os.WIFSTOPPED(status := os.waitpid(pid, _ANY_CHILD)[1]) and (heard := os.WSTOPSIG(status)) != signal.SIGSTOP:
        _ask(_CONT, pid, heard)
    if stops_at_exit:
        _ask(_SETOPTIONS, pid, _STOP_AT_EXIT)


def go_on_to_the_end_of(pid: int, call: int) -> None:
    """Let one that is attached go on until the kernel has carried out this call for it; then it is stopped again."""
    _ask(_SETOPTIONS, pid, _TELL_CALLS)
    info = ctypes.create_string_buffer(_INFO_BYTES)
    number, heard = -1, 0
    while True:
        _ask(_SYSCALL, pid, heard)
        _pid, status = os.waitpid(pid, _ANY_CHILD)
        heard = os.WSTOPSIG(status)
        if heard != _CALL:
            # Its signals are passed on, but for the stop that came with its tracer.
            heard = 0 if heard in {signal.SIGSTOP, signal.SIGTRAP} else heard
            continue
        heard = 0
        _ask(_GET_SYSCALL_INFO, pid, ctypes.addressof(info), _INFO_BYTES)
        operation, first = struct.unpack_from("B23xq", info)
        if operation == _ENTRY:
            number = first
        elif operation == _EXIT and number == call:
            return


def detach(pid: int) -> None:
    """Let it go; of one that has ended its tracer must hear first."""
    try:
        _ask(_DETACH, pid)
    except ProcessLookupError:
        os.waitpid(pid, _ANY_CHILD)
