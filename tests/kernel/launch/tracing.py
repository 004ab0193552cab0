"""A tracer that is nobody of the container: what a debugger does to a process, and no more."""

from __future__ import annotations

import ctypes
import os

_ATTACH, _DETACH, _SETOPTIONS, _CONT = 16, 17, 0x4200, 7
_STOP_AT_EXIT = 0x40
_ANY_CHILD = 0x40000000
_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _ask(request: int, pid: int, value: int = 0) -> None:
    if _ptrace(request, pid, None, value) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {request} of {pid}")


def attach(pid: int, *, stops_at_exit: bool = False) -> None:
    """It is stopped when this returns, and stays so: this thread has become its tracer. `stops_at_exit`: on its way out too."""
    _ask(_ATTACH, pid)
    os.waitpid(pid, _ANY_CHILD)
    if stops_at_exit:
        _ask(_SETOPTIONS, pid, _STOP_AT_EXIT)


def detach(pid: int) -> None:
    """Let it go; of one that has ended its tracer must hear first."""
    try:
        _ask(_DETACH, pid)
    except ProcessLookupError:
        os.waitpid(pid, _ANY_CHILD)
