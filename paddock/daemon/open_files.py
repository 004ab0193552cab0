"""The limit of open files: every caller costs a daemon one, and what a shell gives, often 1,024, is soon used up."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


def limits() -> tuple[int, int]:
    """Soft and hard."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_limit() -> None:
    """The soft one to the hard one."""
    _, hard = limits()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def as_before(inherited: tuple[int, int]) -> Iterator[None]:
    """Around the start of a process that is to inherit what we did. Nothing that is open is closed by it."""
    raised = limits()
    resource.setrlimit(resource.RLIMIT_NOFILE, inherited)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, raised)
