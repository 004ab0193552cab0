"""The engine's answers as values: what we use of them, and nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agentd.docker.failures import EngineFailure
from agentd.docker.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What is true of an engine until it is restarted. `data_root`: where images and writable layers are, on its host."""

    version: str
    api_version: str
    cgroup_driver: str
    cgroup_version: str
    storage_driver: str
    data_root: str
    live_restore: bool


class EngineContainerState(Enum):
    """The engine's own words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def has_process(self) -> bool:
        """Whether something of it runs, frozen or not."""
        return self in {EngineContainerState.RUNNING, EngineContainerState.PAUSED, EngineContainerState.RESTARTING}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMount:
    """`source`: on the host. `name` is empty for what is no volume of the engine's."""

    kind: str
    name: str
    source: str
    target: str
    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContainer:
    """A container as `inspect` tells it. `pid` is the host's, 0 when nothing runs. Times are as the engine writes them, empty:
    not yet. `writable_layer`: its directory on the host, empty with a storage driver that has none.
    """

    engine_id: str
    name: str
    image_id: str
    labels: tuple[tuple[str, str], ...]
    state: EngineContainerState
    pid: int
    exit_code: int
    oom_killed: bool
    error: str
    started_at: str
    finished_at: str
    cgroup_parent: str
    writable_layer: str
    log_path: str
    mounts: tuple[EngineMount, ...]
    addresses: tuple[tuple[str, str], ...]
    """(network, IP address)."""

    @property
    def writes(self) -> dict[str, str]:
        """Where it writes beside its sandbox: on the host, and where it sees that."""
        volumes = {mount.source: mount.target for mount in self.mounts if mount.kind == "volume" and mount.writable}
        return {self.writable_layer: "/", **volumes} if self.writable_layer else volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedContainer:
    """A container as `list` tells it."""

    engine_id: str
    name: str
    labels: tuple[tuple[str, str], ...]
    state: EngineContainerState


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """`entrypoint` and `command` None: it has none. `digests`: repository@sha256:…, of each registry it came from."""

    image_id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None
    environment: tuple[str, ...]
    user: str
    working_directory: str
    volumes: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineExec:
    """`pid` is the host's, 0 before it runs. `exit_code` None: it has not ended."""

    exec_id: str
    running: bool
    pid: int
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something happened to a container: `action` is the engine's word (start, die, oom, destroy, …). `exit_code`: of `die`.

    `attributes`: its labels, and what the engine adds (image, name).
    """

    action: str
    engine_id: str
    attributes: tuple[tuple[str, str], ...]
    exit_code: int | None
    time_ns: int


def facts_from(version: object, info: object) -> EngineFacts:
    """Of /version and /info."""
    told, known = Fields(version, "version"), Fields(info, "info")
    return EngineFacts(
        version=told.text("Version"),
        api_version=told.text("ApiVersion"),
        cgroup_driver=known.text("CgroupDriver"),
        # Only engines from 20.10 on say it, and older ones know v1 only.
        cgroup_version=known.text("CgroupVersion") or "1",
        storage_driver=known.text("Driver"),
        data_root=known.text("DockerRootDir"),
        live_restore=known.flag("LiveRestoreEnabled"),
    )


def container_from(value: object) -> EngineContainer:
    """Of /containers/{id}/json."""
    fields = Fields(value, "container")
    state, settings = fields.inside("State"), fields.inside("HostConfig")
    networks = fields.inside("NetworkSettings").inside("Networks")
    addresses = ((name, networks.inside(name).text("IPAddress")) for name in sorted(networks.names()))
    return EngineContainer(
        engine_id=_id(fields),
        name=fields.text("Name").removeprefix("/"),
        image_id=fields.text("Image"),
        labels=fields.inside("Config").pairs("Labels"),
        state=_state(state.text("Status")),
        pid=state.number("Pid"),
        exit_code=state.number("ExitCode"),
        oom_killed=state.flag("OOMKilled"),
        error=state.text("Error"),
        started_at=_time(state.text("StartedAt")),
        finished_at=_time(state.text("FinishedAt")),
        cgroup_parent=settings.text("CgroupParent"),
        writable_layer=fields.inside("GraphDriver").inside("Data").text("UpperDir"),
        log_path=fields.text("LogPath"),
        mounts=tuple(_mount(mount) for mount in fields.each("Mounts")),
        addresses=tuple((name, address) for name, address in addresses if address),
    )


def list_from(value: object) -> tuple[ListedContainer, ...]:
    """Of /containers/json."""
    return tuple(_listed(each) for each in Fields({"containers": value}, "answer").each("containers"))


def _listed(fields: Fields) -> ListedContainer:
    names = fields.texts("Names")
    return ListedContainer(
        engine_id=_id(fields),
        # A link gives it further names, with a slash inside.
        name=next((name[1:] for name in names if "/" not in name[1:]), ""),
        labels=fields.pairs("Labels"),
        state=_state(fields.text("State")),
    )


def image_from(value: object) -> EngineImage:
    """Of /images/{name}/json."""
    fields = Fields(value, "image")
    settings = fields.inside("Config")
    return EngineImage(
        image_id=_id(fields),
        tags=fields.texts("RepoTags"),
        digests=fields.texts("RepoDigests"),
        entrypoint=settings.texts("Entrypoint") or None,
        command=settings.texts("Cmd") or None,
        environment=settings.texts("Env"),
        user=settings.text("User"),
        working_directory=settings.text("WorkingDir"),
        volumes=tuple(sorted(settings.inside("Volumes").names())),
        size_bytes=fields.number("Size"),
    )


def exec_from(value: object) -> EngineExec:
    """Of /exec/{id}/json."""
    fields = Fields(value, "exec")
    running = fields.flag("Running")
    return EngineExec(
        exec_id=fields.text("ID"),
        running=running,
        pid=fields.number("Pid"),
        exit_code=fields.number("ExitCode") if fields.tells("ExitCode") and not running else None,
    )


def event_from(value: object) -> EngineEvent:
    """Of one line of /events, about a container. An exec's actions have its command behind a colon."""
    fields = Fields(value, "event")
    actor = fields.inside("Actor")
    attributes = actor.pairs("Attributes")
    code = dict(attributes).get("exitCode", "")
    return EngineEvent(
        action=fields.text("Action").partition(":")[0],
        engine_id=actor.text("ID"),
        attributes=attributes,
        exit_code=int(code) if code.isascii() and code.isdigit() else None,
        time_ns=fields.number("timeNano"),
    )


def created_from(value: object) -> tuple[str, tuple[str, ...]]:
    """The new thing's id, and the engine's warnings."""
    fields = Fields(value, "created")
    return _id(fields), fields.texts("Warnings")


def _id(fields: Fields) -> str:
    found = fields.text("Id")
    if not found:
        raise EngineFailure("the Docker engine's answer makes no sense: it has no Id; see what listens there")
    return found


def _state(word: str) -> EngineContainerState:
    try:
        return EngineContainerState(word)
    except ValueError:
        raise EngineFailure(
            f"the Docker engine tells a container's state as {word!r}, which Paddock does not know"
        ) from None


def _time(text: str) -> str:
    return "" if text.startswith("0001-") else text


def _mount(fields: Fields) -> EngineMount:
    return EngineMount(
        kind=fields.text("Type"),
        name=fields.text("Name"),
        source=fields.text("Source"),
        target=fields.text("Destination"),
        writable=fields.flag("RW"),
    )
