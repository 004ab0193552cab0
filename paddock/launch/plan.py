"""A container's plan, format 1: everything that the shim does, in the order in which it does it.

Checked field by field when it arrives; from then on it is trusted. The plan may hold secrets (the environment): it is read
in the shim only, never in the launcher, whose memory every later shim inherits.
"""

from __future__ import annotations

from paddock.kernel.capabilities import NUMBERS, mask_of
from paddock.kernel.namespaces import MOUNT_FLAGS, NAMESPACE_FLAGS
from paddock.launch import protocol
from paddock.launch.launcher_facts import LauncherFacts, decode_facts
from paddock.launch.log_limits import LogLimits, decode_log_limits
from paddock.launch.protocol import ProtocolError

MODES = ("v1", "v2")
_MAX_ID = 0xFFFFFFFE
_MAX_TEXT = protocol.MAX_PLAN_BYTES


class CgroupWrite:
    """`optional`: ENOENT and EOPNOTSUPP are reported in the started event instead of failing the launch."""

    __slots__ = ("controller", "file", "optional", "value")

    def __init__(self, controller: str, file: str, value: str, optional: bool) -> None:  # noqa: FBT001 - one place calls it
        self.controller = controller
        self.file = file
        self.value = value
        self.optional = optional


class CgroupRead:
    """A file of the container's cgroup."""

    __slots__ = ("controller", "file")

    def __init__(self, controller: str, file: str) -> None:
        self.controller = controller
        self.file = file

    @property
    def key(self) -> str:
        """Its name in a record's counters."""
        return f"{self.controller}/{self.file}" if self.controller else self.file


class Mount:
    """A mount inside the container's mount namespace; `flags` are names (ro nosuid nodev noexec bind rec …)."""

    __slots__ = ("data", "flags", "fs_type", "source", "target")

    def __init__(self, source: str, target: str, fs_type: str, flags: tuple[str, ...], data: str) -> None:
        self.source = source
        self.target = target
        self.fs_type = fs_type
        self.flags = flags
        self.data = data


class Capabilities:
    """Sets as masks. For uid 0 the bounding set decides after execve; for others only the ambient set survives it."""

    __slots__ = ("ambient", "bounding", "effective")

    def __init__(self, bounding: int, effective: int, ambient: int) -> None:
        self.bounding = bounding
        self.effective = effective | ambient
        self.ambient = ambient


class Rlimit:
    """`resource` as RLMT_NOFILE; None is infinity."""

    __slots__ = ("hard", "resource", "soft")

    def __init__(self, resource: str, soft: int | None, hard: int | None) -> None:
        self.resource = resource
        self.soft = soft
        self.hard = hard


class Command:
    """What is executed, as whom, and with which leave: the part that a launch and an exec have in common."""

    __slots__ = (
        "argv",
        "capabilities",
        "environment",
        "gid",
        "groups",
        "nice",
        "no_new_privileges",
        "oom_score_adj",
        "rlimits",
        "uid",
        "umask",
        "working_directory",
    )
    argv: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: Capabilities | None
    no_new_privileges: bool
    rlimits: tuple[Rlimit, ...]
    umask: int
    nice: int
    oom_score_adj: int


class CgroupPlace:
    """`directories`: controller → directory on v1; on v2 the one directory has the key ""."""

    __slots__ = ("directories", "mode")

    def __init__(self, mode: str, directories: dict[str, str]) -> None:
        self.mode = mode
        self.directories = directories

    def to_json(self) -> dict[str, object]:
        """The plan's form."""
        return {"mode": self.mode, "directories": self.directories}


class KillPolicy:
    """`signal` first, SIGKILL to everything after `grace_ms`."""

    __slots__ = ("grace_ms", "signal")

    def __init__(self, signal: int, grace_ms: int) -> None:
        self.signal = signal
        self.grace_ms = grace_ms


class Plan:
    """One container. `spare_record`: an empty file beside the record, which becomes it; `syncs_name`: an fsync of it makes its
    new name durable too. `stand_in`: the command is in none of the cgroups: it stands for what an engine puts below them.
    """

    __slots__ = (
        "agent_id",
        "barrier",
        "cgroup",
        "command",
        "container_id",
        "final_reads",
        "kill",
        "launcher",
        "log_limits",
        "max_completion_ms",
        "mounts",
        "namespaces",
        "oom_events",
        "record",
        "sandbox",
        "socket",
        "spare_record",
        "stand_in",
        "stderr",
        "stdout",
        "syncs_name",
        "writes",
    )
    agent_id: str
    container_id: str
    record: str
    spare_record: str | None
    syncs_name: bool
    socket: str
    cgroup: CgroupPlace
    writes: tuple[CgroupWrite, ...]
    final_reads: tuple[CgroupRead, ...]
    oom_events: CgroupRead | None
    namespaces: tuple[str, ...]
    mounts: tuple[Mount, ...]
    sandbox: str
    stdout: str
    stderr: str
    log_limits: LogLimits
    command: Command
    kill: KillPolicy
    launcher: LauncherFacts
    max_completion_ms: int | None
    barrier: bool
    stand_in: bool


def decode_plan(fields: dict[str, object]) -> Plan:
    """The plan in this document; raises ProtocolError naming the first field that is wrong."""
    protocol.check_format(fields)
    plan = Plan()
    plan.agent_id = protocol.name(fields.get("agent_id"), "agent_id")
    plan.container_id = protocol.name(fields.get("container_id"), "container_id")
    plan.record = protocol.absolute_path(fields.get("record"), "record")
    spare = fields.get("spare_record")
    plan.spare_record = None if spare is None else protocol.absolute_path(spare, "spare_record")
    plan.syncs_name = protocol.boolean(fields.get("syncs_name", False), "syncs_name")
    plan.socket = protocol.absolute_path(fields.get("socket"), "socket")
    protocol.name(plan.socket.rpartition("/")[2], "socket")
    plan.cgroup = decode_place(fields.get("cgroup"), plan.agent_id, plan.container_id)
    plan.writes = decode_writes(fields.get("writes", []), plan.cgroup)
    plan.final_reads = decode_reads(fields.get("final_reads", []), "final_reads", plan.cgroup)
    oom_events = fields.get("oom_events")
    plan.oom_events = None if oom_events is None else _read(oom_events, "oom_events", plan.cgroup)
    plan.namespaces = _names(fields.get("namespaces", []), "namespaces", NAMESPACE_FLAGS)
    plan.mounts = _mounts(fields.get("mounts", []), plan.namespaces)
    plan.sandbox = protocol.absolute_path(fields.get("sandbox"), "sandbox")
    plan.stdout = protocol.name(fields.get("stdout", "stdout"), "stdout")
    plan.stderr = protocol.name(fields.get("stderr", "stderr"), "stderr")
    if plan.stdout == plan.stderr:
        raise ProtocolError("stderr", "must not be the same file as stdout")
    plan.log_limits = decode_log_limits(fields.get("log_limits", {}))
    plan.command = decode_command(fields, plan.sandbox)
    plan.launcher = decode_facts(fields.get("launcher"))
    plan.kill = decode_kill(fields.get("kill", {}), "kill", KillPolicy(15, 3000))
    limit = fields.get("max_completion_ms")
    plan.max_completion_ms = None if limit is None else protocol.integer(limit, "max_completion_ms", 0)
    plan.barrier = protocol.boolean(fields.get("barrier", False), "barrier")
    plan.stand_in = protocol.boolean(fields.get("stand_in", False), "stand_in")
    if plan.stand_in and plan.namespaces:
        raise ProtocolError("stand_in", "needs the host's namespaces: what it stands for has its own")
    return plan


def decode_place(value: object, agent_id: str, container_id: str) -> CgroupPlace:
    """Where the container's cgroups are. Only directories that end in paddock-<agent>/<container>: the rest is not ours."""
    fields = protocol.mapping(value, "cgroup")
    mode = fields.get("mode")
    if mode not in MODES:
        raise ProtocolError("cgroup.mode", "must be v1 or v2")
    directories: dict[str, str] = {}
    ours = f"/paddock-{agent_id}/{container_id}"
    for controller, directory in protocol.mapping(fields.get("directories"), "cgroup.directories").items():
        field = f"cgroup.directories[{controller!r}]"
        path = protocol.absolute_path(directory, field)
        if not path.endswith(ours):
            raise ProtocolError(field, f"must end in {ours}")
        if bool(controller) != (mode == "v1"):
            raise ProtocolError(field, 'v1 needs a controller\'s name, v2 the name ""')
        directories[controller] = path
    if mode == "v2" and not directories:
        raise ProtocolError("cgroup.directories", "v2 needs one directory")
    return CgroupPlace(str(mode), directories)


def _controller(fields: dict[str, object], field: str, place: CgroupPlace) -> str:
    """On v2 the controller is only a word for messages; on v1 it must be one that the container has."""
    controller = protocol.text(fields.get("controller", ""), f"{field}.controller", 64, empty=True)
    if place.mode == "v1" and controller not in place.directories:
        raise ProtocolError(f"{field}.controller", f"{controller!r} is not in cgroup.directories")
    return controller


def decode_writes(value: object, place: CgroupPlace, field: str = "writes") -> tuple[CgroupWrite, ...]:
    """The writes in their order."""
    writes = []
    for index, element in enumerate(protocol.sequence(value, field)):
        where = f"{field}[{index}]"
        fields = protocol.mapping(element, where)
        writes.append(
            CgroupWrite(
                _controller(fields, where, place),
                protocol.name(fields.get("file"), f"{where}.file"),
                protocol.text(fields.get("value"), f"{where}.value"),
                protocol.boolean(fields.get("optional", False), f"{where}.optional"),
            )
        )
    return tuple(writes)


def _read(value: object, where: str, place: CgroupPlace) -> CgroupRead:
    fields = protocol.mapping(value, where)
    return CgroupRead(_controller(fields, where, place), protocol.name(fields.get("file"), f"{where}.file"))


def decode_reads(value: object, field: str, place: CgroupPlace) -> tuple[CgroupRead, ...]:
    """The files to read."""
    elements = protocol.sequence(value, field, 64)
    return tuple(_read(element, f"{field}[{index}]", place) for index, element in enumerate(elements))


def _names(value: object, field: str, known: dict[str, int]) -> tuple[str, ...]:
    names = []
    for index, element in enumerate(protocol.sequence(value, field, 64)):
        if not isinstance(element, str) or element not in known:
            raise ProtocolError(f"{field}[{index}]", f"{str(element)[:40]!r} is not one of {', '.join(known)}")
        names.append(element)
    return tuple(names)


def _mounts(value: object, namespaces: tuple[str, ...]) -> tuple[Mount, ...]:
    mounts = []
    for index, element in enumerate(protocol.sequence(value, "mounts", 1024)):
        where = f"mounts[{index}]"
        fields = protocol.mapping(element, where)
        mounts.append(
            Mount(
                protocol.text(fields.get("source", ""), f"{where}.source", empty=True),
                protocol.absolute_path(fields.get("target"), f"{where}.target"),
                protocol.text(fields.get("type", ""), f"{where}.type", 64, empty=True),
                _names(fields.get("flags", []), f"{where}.flags", MOUNT_FLAGS),
                protocol.text(fields.get("data", ""), f"{where}.data", empty=True),
            )
        )
    if mounts and "mnt" not in namespaces:
        raise ProtocolError("mounts", "need the namespace mnt: they would be made on the host")
    return tuple(mounts)


def decode_command(fields: dict[str, object], default_directory: str) -> Command:
    """What a launch plan and an exec plan have in common."""
    command = Command()
    argv = protocol.sequence(fields.get("argv"), "argv", 1 << 20)
    if not argv:
        raise ProtocolError("argv", "must not be empty")
    command.argv = tuple(protocol.text(a, f"argv[{i}]", _MAX_TEXT, empty=i > 0) for i, a in enumerate(argv))
    command.environment = _environment(fields.get("environment", {}))
    directory = fields.get("working_directory")
    command.working_directory = (
        default_directory if directory is None else protocol.absolute_path(directory, "working_directory")
    )
    user = protocol.mapping(fields.get("user"), "user")
    command.uid = protocol.integer(user.get("uid"), "user.uid", 0, _MAX_ID)
    command.gid = protocol.integer(user.get("gid"), "user.gid", 0, _MAX_ID)
    groups = protocol.sequence(user.get("groups", []), "user.groups", 65536)
    command.groups = tuple(protocol.integer(g, f"user.groups[{i}]", 0, _MAX_ID) for i, g in enumerate(groups))
    command.capabilities = _capabilities(fields.get("capabilities"))
    command.no_new_privileges = protocol.boolean(fields.get("no_new_privs", True), "no_new_privs")
    command.rlimits = _rlimits(fields.get("rlimits", []))
    command.umask = protocol.integer(fields.get("umask", 0o022), "umask", 0, 0o777)
    command.nice = protocol.integer(fields.get("nice", 0), "nice", -20, 19)
    command.oom_score_adj = protocol.integer(fields.get("oom_score_adj", 0), "oom_score_adj", -1000, 1000)
    return command


def _environment(value: object) -> dict[str, str]:
    environment = {}
    for key, content in protocol.mapping(value, "environment").items():
        if not key or "=" in key or "\0" in key:
            raise ProtocolError("environment", f"{key[:40]!r} cannot be a variable's name")
        environment[key] = protocol.text(content, f"environment[{key[:40]!r}]", _MAX_TEXT, empty=True)
    return environment


def _capabilities(value: object) -> Capabilities | None:
    if value is None:
        return None
    fields = protocol.mapping(value, "capabilities")
    return Capabilities(
        mask_of(_names(fields.get("bounding", []), "capabilities.bounding", NUMBERS)),
        mask_of(_names(fields.get("effective", []), "capabilities.effective", NUMBERS)),
        mask_of(_names(fields.get("ambient", []), "capabilities.ambient", NUMBERS)),
    )


def _rlimits(value: object) -> tuple[Rlimit, ...]:
    rlimits = []
    for index, element in enumerate(protocol.sequence(value, "rlimits", 32)):
        where = f"rlimits[{index}]"
        fields = protocol.mapping(element, where)
        resource = protocol.text(fields.get("resource"), f"{where}.resource", 32)
        if resource not in RLIMIT_NUMBERS:
            raise ProtocolError(f"{where}.resource", f"{resource!r} is not one of {', '.join(RLIMIT_NUMBERS)}")
        soft, hard = (
            None if fields.get(key) is None else protocol.integer(fields[key], f"{where}.{key}", 0)
            for key in ("soft", "hard")
        )
        rlimits.append(Rlimit(resource, soft, hard))
    return tuple(rlimits)


def decode_kill(value: object, field: str, default: KillPolicy) -> KillPolicy:
    """A kill policy; what it leaves out is the default's."""
    fields = protocol.mapping(value, field)
    signal = protocol.integer(fields.get("signal", default.signal), f"{field}.signal", 1, 64)
    return KillPolicy(signal, protocol.integer(fields.get("grace_ms", default.grace_ms), f"{field}.grace_ms", 0))


# Numbers of the Linux ABI (both processors); Mesos' names.
RLIMIT_NUMBERS = {
    "RLMT_CPU": 0,
    "RLMT_FSIZE": 1,
    "RLMT_DATA": 2,
    "RLMT_STACK": 3,
    "RLMT_CORE": 4,
    "RLMT_RSS": 5,
    "RLMT_NPROC": 6,
    "RLMT_NOFILE": 7,
    "RLMT_MEMLOCK": 8,
    "RLMT_AS": 9,
    "RLMT_LOCKS": 10,
    "RLMT_SIGPENDING": 11,
    "RLMT_MSGQUEUE": 12,
    "RLMT_NICE": 13,
    "RLMT_RTPRIO": 14,
    "RLMT_RTTIME": 15,
}
