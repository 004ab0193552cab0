"""Every error that Paddock raises on purpose, and what each carries to its reader.

A limit that a task hit is a value (`Limitation`), not an error. `paddock.kernel` raises its own KernelError.
"""

from __future__ import annotations


class PaddockError(Exception):
    """The root: `except PaddockError` catches what Paddock foresaw, and nothing else."""


class InvalidRequest(PaddockError):
    """A call that could never succeed. Names the field, the value as it came, and what would be accepted."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        """`field` in the words of the caller (`resources[0].cpus`, `--mem`); `remedy` says what is accepted."""
        shown = repr(value)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        super().__init__(f"{field}: {shown} is not accepted: {remedy}")
        self.field = field
        self.value = shown
        self.remedy = remedy

    def under(self, field: str) -> InvalidRequest:
        """The same in the words of another caller, who calls it so."""
        renamed = InvalidRequest(field, "", self.remedy)
        renamed.value = self.value
        renamed.args = (f"{field}: {self.value} is not accepted: {self.remedy}",)
        return renamed


class Unsupported(PaddockError):
    """A field that the wire knows and this version does not yet carry out (gRPC UNIMPLEMENTED)."""

    def __init__(self, field: str, remedy: str) -> None:
        """`remedy` says what to use instead, or that nothing can be."""
        super().__init__(f"{field} is not supported by this version: {remedy}")
        self.field = field
        self.remedy = remedy


class NotFound(PaddockError):
    """The thing named does not exist (any more)."""

    def __init__(self, kind: str, name: str, remedy: str = "") -> None:
        """`kind` is the field's standard word: task, container, offer, framework, agent, file."""
        super().__init__(f"{kind} {name!r} does not exist{': ' if remedy else ''}{remedy}")
        self.kind = kind
        self.name = name


class AlreadyExists(PaddockError):
    """The id is taken."""

    def __init__(self, kind: str, name: str, remedy: str) -> None:
        """As NotFound; `remedy` says how to get on."""
        super().__init__(f"{kind} {name!r} already exists: {remedy}")
        self.kind = kind
        self.name = name
        self.remedy = remedy


class PermissionRefused(PaddockError):
    """The principal may not do this."""


class Unauthenticated(PaddockError):
    """The caller did not show who it is, or its proof is no longer good."""


class ResourcesExhausted(PaddockError):
    """More was asked than what is free."""


class Unavailable(PaddockError):
    """The other side cannot be reached or is not ready; the same call may succeed later."""


class TimedOut(PaddockError):
    """No answer within the deadline; whether the call had its effect is not known."""


class OutOfRange(PaddockError):
    """A place in a sequence of changes that is not kept (any more): list again, and watch from there."""

    def __init__(self, version: int, remedy: str) -> None:
        """`remedy` says where to begin instead."""
        super().__init__(f"resource_version: changes after {version} are not kept; {remedy}")
        self.field = "resource_version"
        self.value = str(version)
        self.remedy = remedy


class NotLeading(PaddockError):
    """This master does not lead; `leader_address` (empty when unknown) does."""

    def __init__(self, leader_address: str) -> None:
        """The address goes into the wire's NotLeader detail."""
        super().__init__(f"this master does not lead; the leader is {leader_address or 'not known'}")
        self.leader_address = leader_address


class InvalidTransition(PaddockError):
    """A state machine was told something that its table has no row for: a defect, or a lie from outside."""

    def __init__(self, subject: str, state: str, event: str) -> None:
        """`subject` names the thing and its id."""
        super().__init__(f"{subject} in state {state} has no transition for {event}")
        self.subject = subject
        self.state = state
        self.event = event


class PlanConflict(PaddockError):
    """Two isolators want different things for one container."""

    def __init__(self, subject: str, first: str, second: str) -> None:
        """`first` and `second` are isolators' names."""
        super().__init__(
            f"isolators {first} and {second} disagree about {subject}; remove one of them from --isolation"
        )
        self.subject = subject
        self.first = first
        self.second = second


class ContainerizerError(PaddockError):
    """A container could not be launched or changed. `stage` says where it stopped."""

    def __init__(self, container_id: str, stage: str, message: str) -> None:
        """`message` is complete: what was tried, on what, with which value, what the kernel said."""
        super().__init__(message)
        self.container_id = container_id
        self.stage = stage


class ConfigError(PaddockError):
    """All problems of a configuration at once, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Each problem names its source (file, variable or flag), key, value and remedy."""
        super().__init__("\n".join(problems))
        self.problems = problems


class CheckpointError(PaddockError):
    """The durable state cannot be read or written. The daemon stops rather than guess."""

    def __init__(self, path: str, offset_bytes: int, message: str) -> None:
        """`message` includes the remedy."""
        super().__init__(f"{path} at byte {offset_bytes}: {message}")
        self.path = path
        self.offset_bytes = offset_bytes


class CheckpointBlocked(CheckpointError):
    """It cannot be written now, and nothing of what was tried is in it: the same write may succeed later."""
