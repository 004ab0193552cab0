"""What can go wrong between us and the Docker engine, and the one table from its answers to our errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound, PaddockError, TimedOut, Unavailable

_SAID_LIMIT_CHARACTERS = 600


class EngineFailure(PaddockError):
    """The engine answered, and the answer is no."""


class ContainerNotRunning(EngineFailure):
    """It has ended, or was not started yet: there is nothing to signal or to enter."""


class RemovalUnderWay(EngineFailure):
    """The engine removes it already, for somebody else."""


class PortInUse(EngineFailure):
    """A port of the host that the container wants has another user."""


class EngineUnresponsive(TimedOut):
    """No answer within the deadline, or none is waited for any more. Whether a call that `was_asked` had its effect, or will
    have it, is not known.
    """

    def __init__(self, message: str, why: str, *, was_asked: bool) -> None:
        """`why`: in short, for the engine's state."""
        super().__init__(message)
        self.why = why
        self.was_asked = was_asked


class EngineAbsent(Unavailable):
    """Nobody listens at the engine's socket: the call had no effect."""

    def __init__(self, message: str, why: str) -> None:
        """As EngineUnresponsive."""
        super().__init__(message)
        self.why = why


class PullProblem(Enum):
    """Why an image did not come."""

    UNKNOWN_IMAGE = "unknown image"
    DENIED = "access denied"
    REGISTRY_UNREACHABLE = "registry unreachable"
    TIMED_OUT = "timed out"
    DISK_FULL = "disk full"
    OTHER = "other"


class PullFailed(EngineFailure):
    """`problem` tells the operator where to look."""

    def __init__(self, message: str, problem: PullProblem) -> None:
        """`message` is complete."""
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is tried, in words: `verb` `subject` (`start`, `container paddock-a1-c1`), on the engine at `socket`.

    `kind` and `name` are what the engine does not know when it answers 404.
    """

    verb: str
    kind: str
    name: str
    socket: str

    @property
    def subject(self) -> str:
        """The thing, by kind and name; nothing for calls about the engine itself."""
        return f"{self.kind} {self.name}".strip()

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP status that is no success, and the engine's own words."""

    status: int
    said: str


Make = Callable[[Call, Answer, re.Match[str]], PaddockError]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """`statuses`: any where it is empty; `said`: found anywhere in the words, in whatever case."""

    statuses: tuple[int, ...]
    said: re.Pattern[str]
    make: Make


def _row(statuses: tuple[int, ...], said: str, make: Make) -> _Row:
    return _Row(statuses=statuses, said=re.compile(said, re.IGNORECASE | re.ASCII), make=make)


def _with_remedy(remedy: str, error: type[EngineFailure] = EngineFailure) -> Make:
    return lambda call, answer, match: error(_sentence(call, answer, remedy))


def _not_found(kind: str) -> Make:
    return lambda call, answer, match: NotFound(kind, match[1])


def _name_taken(call: Call, answer: Answer, match: re.Match[str]) -> PaddockError:
    remedy = f"the engine's container {match[2][:12]} has this name and is not this task's: remove or rename it"
    return AlreadyExists("container", match[1], remedy)


def _refused(call: Call, answer: Answer, match: re.Match[str]) -> PaddockError:
    return InvalidRequest(f"{call.verb} {call.kind}".strip(), call.name, f"the engine says: {_cut(answer.said)}")


def _no_command(call: Call, answer: Answer, match: re.Match[str]) -> PaddockError:
    return InvalidRequest("command.arguments", [], "the image has no command of its own: name the program to run")


# The first row that fits is taken. The words are the engine's, and differ between its versions: what no row knows is still told
# by its status.
_TABLE = (
    _row((404,), r"no such image: (\S+?):?(?:\s|$)", _not_found("image")),
    _row((404, 500), r"network (\S+) not found", _not_found("network")),
    _row((404,), r"no such exec instance: (\S+)", _not_found("exec")),
    _row((404,), r"no such container: (\S+)", _not_found("container")),
    _row((409,), r'container name "/?(\S+)" is already in use by container "?([0-9a-f]+)', _name_taken),
    _row((409,), r"removal of container \S+ is already in progress", _with_remedy("wait for it", RemovalUnderWay)),
    _row(
        (409, 500),
        r"is not running|container not running|is not paused|container is stopped|process already finished",
        _with_remedy("nothing is to be done: it has ended, or was not started", ContainerNotRunning),
    ),
    _row(
        (),
        r"port is already allocated|address already in use",
        _with_remedy("end what has the port, or give the task another one", PortInUse),
    ),
    _row((), r"no space left on device", _with_remedy("free space where the engine keeps its data")),
    _row((400,), r"no command specified", _no_command),
    _row((400,), r"", _refused),
    _row((404,), r"", lambda call, answer, match: NotFound(call.kind, call.name)),
    _row(
        (401, 403), r"", _with_remedy("an authorization plugin of the engine denies it: see the engine's configuration")
    ),
    _row((), r"", _with_remedy("see the engine's log (journalctl -u docker)")),
)


def failure_of(call: Call, answer: Answer) -> PaddockError:
    """The error that says it best."""
    row, match = _first(_TABLE, answer)
    return row.make(call, answer, match)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PullRow:
    said: re.Pattern[str]
    problem: PullProblem
    remedy: str


def _pull_row(said: str, problem: PullProblem, remedy: str) -> _PullRow:
    return _PullRow(said=re.compile(said, re.IGNORECASE | re.ASCII), problem=problem, remedy=remedy)


# A registry that knows no such repository and one that does not show it to strangers often say the same.
_PULLS = (
    _pull_row(
        r"no space left on device",
        PullProblem.DISK_FULL,
        "free space where the engine keeps its images",
    ),
    _pull_row(
        r"manifest (for \S+ )?(not found|unknown|invalid)|name unknown|repository name not known|not found: manifest",
        PullProblem.UNKNOWN_IMAGE,
        "name a tag or digest that the registry has",
    ),
    _pull_row(
        r"no basic auth credentials|unauthorized|authentication required|incorrect username or password|denied",
        PullProblem.DENIED,
        "see that the name is right, and that the file of the agent's --docker-config has the registry's password",
    ),
    _pull_row(
        r"client\.timeout|i/o timeout|deadline exceeded|tls handshake timeout|request canceled",
        PullProblem.TIMED_OUT,
        "see whether the registry answers, from the engine's host",
    ),
    _pull_row(
        r"connection refused|no such host|no route to host|network is unreachable|connection reset|server misbehaving|eof|"
        r"x509|server gave http response",
        PullProblem.REGISTRY_UNREACHABLE,
        "see whether the registry can be reached from the engine's host, and how (name, port, TLS)",
    ),
    _pull_row(r"", PullProblem.OTHER, "try `docker pull` on the agent's host"),
)


def pull_failure_of(call: Call, said: str) -> PullFailed:
    """Of an answer to a pull, or of an error in the middle of one."""
    row = next(row for row in _PULLS if row.said.search(said))
    return PullFailed(_sentence(call, Answer(status=0, said=said), row.remedy), row.problem)


def unresponsive(call: Call, why: str, *, was_asked: bool = True) -> EngineUnresponsive:
    """`why`: what was waited for, and how long; or why it was not asked."""
    remedy = "see whether `docker version` answers on the agent's host; restart the engine if not"
    words = f"cannot {call}: the Docker engine at {call.socket} {why}; {remedy}"
    return EngineUnresponsive(words, why, was_asked=was_asked)


def not_resized(error: PaddockError, kept: PaddockError | None = None) -> PaddockError:
    """New limits that an engine has not taken. `kept`: why our cgroup, above the engine's, has not the earlier ones again."""
    if not isinstance(error, EngineUnresponsive):
        return error if kept is None else Unavailable(f"{error}; its earlier limits could not be put back: {kept}")
    words = "every earlier limit is in force" if kept is None else f"its earlier limits could not be put back: {kept}"
    if error.was_asked:
        words += "; should the engine still apply the new ones when it answers, they are taken back"
    words = f"{error}; {words} (`paddock explain` shows what holds)"
    return EngineUnresponsive(words, error.why, was_asked=error.was_asked)


def absent(call: Call, why: str, *, may_not_ask: bool = False) -> EngineAbsent:
    """Nobody listens, or we may not ask."""
    remedy = "give agentd access to it" if may_not_ask else "start the engine"
    words = f"cannot {call}: the Docker engine at {call.socket} {why}; {remedy}"
    return EngineAbsent(f"{words}, or name its socket with --docker-socket", why)


def _first(rows: tuple[_Row, ...], answer: Answer) -> tuple[_Row, re.Match[str]]:
    for row in rows:
        match = row.said.search(answer.said)
        if match is not None and (not row.statuses or answer.status in row.statuses):
            return row, match
    raise AssertionError("the last row fits everything")


def _sentence(call: Call, answer: Answer, remedy: str) -> str:
    status = f" ({answer.status})" if answer.status else ""
    said = _cut(answer.said) or "nothing about the reason"
    return f"cannot {call}: the Docker engine says{status}: {said}; {remedy}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SAID_LIMIT_CHARACTERS else line[: _SAID_LIMIT_CHARACTERS - 1] + "…"
