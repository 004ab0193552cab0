"""What a client may ask of a shim: start, kill, write, read, exec, exec_kill, state. Each answer carries the caller's seq."""

from __future__ import annotations

import errno
import os

from paddock.kernel.errors import KernelError
from paddock.kernel.processes import has_ended, send_signal, take_wait_status
from paddock.launch import exec_session, launching, plan, protocol
from paddock.launch.container import LAUNCHING, RUNNING, WAITING
from paddock.launch.protocol import ProtocolError
from paddock.launch.status_pipe import EXECUTED, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from paddock.launch.container import Container
    from paddock.launch.exec_session import ExecSession
    from paddock.launch.sockets import Socket


def handle(container: Container, client: Socket, content: bytes, fds: list[int]) -> None:
    """Answer one message. Raises ProtocolError for garbage; a call that is well-formed and wrong is answered."""
    try:
        message = protocol.decode(content)
        operation = protocol.text(message.get("op"), "op", 32)
        seq = message.get("seq")
        if seq is not None:
            protocol.integer(seq, "seq")
        try:
            answer = _perform(container, client, operation, message, fds)
        except (ProtocolError, OSError) as error:
            answer = {"ok": False, "error": protocol.error_from(error, operation).to_json()}
        if answer is not None:
            container.clients.send(client, {"answer": operation, "seq": seq, **answer})
    finally:
        for fd in fds:
            os.close(fd)


def _perform(
    container: Container, client: Socket, operation: str, message: dict[str, object], fds: list[int]
) -> dict[str, object] | None:
    """The answer without its head; None when it comes later."""
    if operation == "exec":
        _exec(container, client, message, fds)
        return None
    perform = _OPERATIONS.get(operation)
    if perform is None:
        raise KernelError("op", "", operation, errno.ENOSYS)
    return {"ok": True, **perform(container, message)}


def _start(container: Container, _message: dict[str, object]) -> dict[str, object]:
    launching.open_barrier(container)
    return {}


def _kill(container: Container, message: dict[str, object]) -> dict[str, object]:
    container.ask_to_end(plan.decode_kill(message, "kill", container.plan.kill))
    assert container.kill is not None
    return {"kill": container.kill.to_json()}


def _write(container: Container, message: dict[str, object]) -> dict[str, object]:
    writes = plan.decode_writes(message.get("writes"), container.plan.cgroup)
    assert container.cgroup is not None
    return {"unapplied": container.cgroup.rewrite_limits(writes)}


def _read(container: Container, message: dict[str, object]) -> dict[str, object]:
    """A file that cannot be read is null, with its error beside it: the others are answered all the same."""
    assert container.cgroup is not None
    values: dict[str, object] = {}
    errors: dict[str, object] = {}
    for wanted in plan.decode_reads(message.get("reads"), "reads", container.plan.cgroup):
        try:
            values[wanted.key] = container.cgroup.read(wanted)
        except OSError as error:
            values[wanted.key] = None
            errors[wanted.key] = protocol.error_from(error).to_json()
    return {"values": values, "errors": errors}


def _state(container: Container, _message: dict[str, object]) -> dict[str, object]:
    has_started = container.phase not in {LAUNCHING, WAITING}
    started = launching.describe(container, protocol.EVENT_STARTED) if has_started else None
    return {
        **container.identity.to_json(),
        "state": container.phase,
        "started": started,
        "kill": None if container.kill is None else container.kill.to_json(),
        "logs": container.log_counts(),
        "execs": [{"exec_id": key, "pid": session.pid} for key, session in container.sessions.items()],
    }


def _exec(container: Container, client: Socket, message: dict[str, object], fds: list[int]) -> None:
    if container.phase != RUNNING:
        raise KernelError("exec", container.plan.container_id, container.phase, errno.ESRCH)
    if len(container.sessions) >= exec_session.MAX_SESSIONS:
        raise KernelError("exec", container.plan.container_id, f"{len(container.sessions)} run already", errno.EAGAIN)
    wanted = exec_session.decode_exec(message, fds, container.plan.sandbox)
    container.session_count += 1
    session = exec_session.start_session(
        f"e{container.session_count}", wanted, fds, container.exec_surroundings, container.host
    )
    session.client = client
    session.seq = message.get("seq")
    container.sessions[session.exec_id] = session
    container.watch(session.status.fd, lambda: _on_exec_status(container, session))


def _on_exec_status(container: Container, session: ExecSession) -> None:
    fd = session.status.fd
    if not session.status.read():
        return
    container.unwatch(fd)
    failure = None
    if session.status.state == FAILED:
        failure = session.status.failure
    elif session.status.state != EXECUTED:
        failure = launching.failure_at("exec", KernelError("exec", "", "it died on its way", errno.ESRCH)).report
    answer: dict[str, object] = {"answer": "exec", "seq": session.seq}
    if failure is None:
        answer.update({"ok": True, "exec_id": session.exec_id, "pid": session.pid})
    else:
        answer.update({"ok": False, "error": failure})
    if session.client is not None and session.client.fileno() >= 0:
        container.clients.send(session.client, answer)
    container.watch(session.pidfd, lambda: reap_exec(container, session, announced=failure is None))


def reap_exec(container: Container, session: ExecSession, *, announced: bool = True) -> None:
    """Take the ended process's status: while it is a zombie its namespace cannot end."""
    if not has_ended(session.pidfd):
        return
    status = take_wait_status(session.pid)
    container.unwatch(session.pidfd)
    os.close(session.pidfd)
    if session.status.fd >= 0:
        container.unwatch(session.status.fd)
        session.status.close()
    del container.sessions[session.exec_id]
    if announced:
        container.clients.send_all(
            {"event": protocol.EVENT_EXEC_EXITED, "exec_id": session.exec_id, "wait_status": status}
        )


def _exec_kill(container: Container, message: dict[str, object]) -> dict[str, object]:
    exec_id = protocol.text(message.get("exec_id"), "exec_id", 32)
    number = protocol.integer(message.get("signal", 15), "signal", 1, 64)
    session = container.sessions.get(exec_id)
    if session is None:
        raise KernelError("exec_kill", "", exec_id, errno.ESRCH)
    try:
        # The exec leads a session of its own, and only this process reaps it.
        os.kill(-session.pid, number)
    except ProcessLookupError:
        send_signal(session.pidfd, number)
    return {}


_OPERATIONS: dict[str, Callable[[Container, dict[str, object]], dict[str, object]]] = {
    "start": _start,
    "kill": _kill,
    "write": _write,
    "read": _read,
    "state": _state,
    "exec_kill": _exec_kill,
}
