"""What shims and isolators say, in the machine's words."""

from __future__ import annotations

import errno
import logging

from agentd.containerizer.exit_records import failure_from
from agentd.containerizer.shim_link import Message, ShimLink
from agentd.core.events import Started
from paddock.launch import protocol
from paddock.launch.container import WAITING
from paddock.launch.protocol import ProtocolError
from paddock.launch.record import decode_error
from paddock.model.errors import ContainerizerError, PaddockError, Unavailable
from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure

_log = logging.getLogger(__name__)


def started_event(container_id: ContainerId, message: dict[str, object]) -> Started:
    """From a shim's `started`; what a shim of another build leaves out is 0 or empty."""
    cgroup = message.get("cgroup")
    unapplied = message.get("unapplied")
    directories = cgroup.get("directories") if isinstance(cgroup, dict) else None
    return Started(
        container_id=container_id,
        pid=_number(message.get("pid")),
        shim_pid=_number(message.get("shim_pid")),
        started_ns=_number(message.get("started_ns")),
        cgroup_paths=tuple(dict.fromkeys(directories.values())) if isinstance(directories, dict) else (),
        unapplied=tuple(unapplied_words(each) for each in unapplied) if isinstance(unapplied, list) else (),
    )


def failure_of_event(message: dict[str, object]) -> LaunchFailure:
    """From a shim's `failed`."""
    try:
        return failure_from(message)
    except ProtocolError as error:
        return LaunchFailure(stage="launch", message=f"the shim's reason could not be read: {error}")


def as_refusal(container_id: ContainerId, error: Exception, stage: str = "prepare") -> PaddockError:
    """What stopped a preparation or a resize, in the words for whoever asked for it."""
    if isinstance(error, PaddockError):
        return error
    _log.error("isolation failed", extra={"container_id": container_id, "stage": stage}, exc_info=error)
    return ContainerizerError(container_id, stage, f"{type(error).__name__}: {error}")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def unapplied_words(value: object) -> str:
    """A default that could not be applied, for people."""
    if not isinstance(value, dict):
        return str(value)
    name = errno.errorcode.get(_number(value.get("errno")), "no reason")
    return f"{value.get('file')} = {value.get('value')} could not be applied here ({name})"


def words_of_error(error: object) -> str:
    """What a shim says when it could not: operation, path, value and the kernel's own name for why."""
    if isinstance(error, dict):
        try:
            return decode_error(error, "error").message
        except ProtocolError:
            return str(error)
    return str(error or "the shim gave no reason")


async def ask_what_it_said(link: ShimLink) -> Message | None:
    """See `said_in`. None when it ends instead, which is told elsewhere."""
    try:
        return said_in(await link.ask("state"))
    except Unavailable:
        return None


def said_in(state: Message) -> Message | None:
    """The event that an earlier caller has heard in our place: the command runs, or waits at the barrier. None: not so far."""
    started = state.get("started")
    if isinstance(started, dict):
        return started
    return {**state, "event": protocol.EVENT_CREATED} if state.get("state") == WAITING else None
