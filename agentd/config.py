"""agentd's settings. Mesos' names and forms of value where the meaning is the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from agentd import docker_settings
from isolators.contract import IsolatorSettings
from isolators.posix import rlimits
from isolators.table import DEFAULT_ISOLATION
from paddock.daemon.config import Configuration
from paddock.daemon.logging import LogFormat
from paddock.daemon.settings import (
    BOOLEAN,
    DURATION_S,
    PATH,
    SIZE_BYTES,
    TEXT,
    WORDS,
    Kind,
    Rejected,
    checked,
    one_of,
    optional,
    setting,
    whole,
)
from paddock.http import addresses as http
from paddock.model.docker_parameters import ORDINARY
from paddock.model.errors import ConfigError
from paddock.model.resource_text import parse_attributes, parse_resources
from paddock.model.task import (
    DEFAULT_LOG_POLICY,
    LOG_FILE_LEAST_BYTES,
    LOG_FILE_MOST_BYTES,
    LOG_FILE_MOST_COUNT,
    ContainerType,
    LogPolicy,
)
from paddock.rpc import exposure
from paddock.rpc.address import parse_address

DEFAULT_FILE = "/etc/paddock/agentd.toml"
VERSION = "0.1.0"


def _check_resources(text: str) -> None:
    parse_resources(text, "resources")


def _check_attributes(text: str) -> None:
    parse_attributes(text, "attributes")


def _check_level(text: str) -> None:
    if text not in {"debug", "info", "warning", "error"}:
        raise Rejected("write debug, info, warning or error")


def _check_log_size(size_bytes: int | None) -> None:
    if size_bytes is not None and not LOG_FILE_LEAST_BYTES <= size_bytes <= LOG_FILE_MOST_BYTES:
        raise Rejected("write a size from 64KiB to 1024TiB, or nothing for no limit")


_RESOURCES: Kind[str] = checked(TEXT, _check_resources)
_ATTRIBUTES: Kind[str] = checked(TEXT, _check_attributes)
_LEVEL: Kind[str] = checked(TEXT, _check_level)
_LOG_SIZE: Kind[int | None] = checked(optional(SIZE_BYTES), _check_log_size)
_PATH_OR_NONE: Kind[str | None] = optional(PATH)


def _allowed_rlimits(text: str) -> tuple[tuple[str, int | None], ...]:
    allowed: dict[str, int | None] = {}
    for word in WORDS.parse(text):
        name, _, limit = word.partition("=")
        if name not in rlimits.NAMES or name in allowed:
            raise Rejected(f"{name!r}: name each once, of {', '.join(sorted(rlimits.NAMES))}")
        if limit != "unlimited" and not re.fullmatch(r"[0-9]{1,19}", limit, re.ASCII):
            raise Rejected(f"{word!r}: write RLMT_MEMLOCK=1073741824, or RLMT_MEMLOCK=unlimited")
        allowed[name] = None if limit == "unlimited" else int(limit)
    return tuple(sorted(allowed.items()))


def _show_rlimits(allowed: tuple[tuple[str, int | None], ...]) -> str:
    return ",".join(f"{name}={'unlimited' if limit is None else limit}" for name, limit in allowed)


def _fraction(text: str) -> float:
    if not re.fullmatch(r"(0|1|0?\.[0-9]{1,6}|1\.0{1,6})", text, re.ASCII):
        raise Rejected("write a fraction from 0 to 1: 0.1")
    return float(text)


def _check_interval(seconds: float) -> None:
    if seconds < 0.01:
        raise Rejected("write at least 10ms")


_FRACTION: Kind[float] = Kind("0…1", _fraction)
_INTERVAL_S: Kind[float] = checked(DURATION_S, _check_interval)
_RLIMITS = Kind("NAME=N,…", _allowed_rlimits, _show_rlimits)
_WORDS_OR_NONE: Kind[tuple[str, ...] | None] = optional(WORDS)


class ReconfigurationPolicy(Enum):
    """What may change while an agent keeps its id. Mesos has the first two."""

    EQUAL = "equal"
    ADDITIVE = "additive"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator may choose."""

    state_dir: str = setting("/var/lib/paddock/agentd", "the agent's own files: its log, exit records, its id", PATH)
    work_dir: str = setting("/var/lib/paddock/work", "the tasks' sandboxes; their users must be able to reach it", PATH)
    runtime_dir: str | None = setting(
        None, "sockets of launcher and shims; below the state directory when empty", _PATH_OR_NONE
    )
    listen: tuple[str, ...] = setting(
        ("unix:/run/paddock/agentd.sock",), "addresses to serve: unix:/path, and host:port where TCP is wanted", WORDS
    )
    http_listen: tuple[str, ...] = setting((), http.HELP, WORDS)
    insecure: bool = setting(False, exposure.HELP, BOOLEAN)
    tcp_uid: int | None = setting(
        None,
        "as which uid callers over TCP count, where the network is trusted; empty: they are refused",
        optional(whole(0, 2**31)),
    )
    metrics_container_limit_count: int = setting(
        100,
        "how many containers have metrics of their own, the newest; the others are summed as `other`",
        whole(0, 100_000),
        name="metrics_container_limit",
    )
    master: tuple[str, ...] = setting((), "the masters' addresses; empty: standalone containers only", WORDS)
    hostname: str = setting("", "as it is shown; the kernel's own when empty", TEXT)
    region: str = setting("", "where this host stands", TEXT)
    zone: str = setting("", "where in the region", TEXT)
    containerizers: tuple[ContainerType, ...] = setting(
        (ContainerType.NATIVE,), "what runs containers here: native, docker", docker_settings.CONTAINERIZERS
    )
    isolation: str = setting(DEFAULT_ISOLATION, "isolators, comma-separated", TEXT)
    resources: str = setting(
        "", "what the agent offers: cpus:4;mem:8192;ports:[31000-32000]; what is not named is found", _RESOURCES
    )
    attributes: str = setting("", "what is true of this host: rack:r1;level:10", _ATTRIBUTES)
    cgroup_parent: str | None = setting(
        None, "cgroup v2: the directory below which ours stands; found when empty", _PATH_OR_NONE
    )
    systemd_enable_support: bool = setting(
        True, "where systemd runs: keep launcher and tasks in paddock-tasks.scope", BOOLEAN
    )
    reconfiguration_policy: ReconfigurationPolicy = setting(
        ReconfigurationPolicy.EQUAL,
        "what of resources, attributes, region and zone may change while the agent keeps its id",
        one_of(ReconfigurationPolicy),
    )
    boot_id_file: str = setting(
        "/proc/sys/kernel/random/boot_id",
        "what names this boot of the host; pids of another boot are never trusted",
        PATH,
    )
    gc_delay_s: float = setting(
        7 * 86_400.0,
        "sandboxes: how long they stay after the end, on an empty disk",
        DURATION_S,
        name="gc_delay",
        reloads=True,
    )
    gc_disk_headroom: float = setting(
        0.1,
        "sandboxes: the part of the disk that is to stay free: the nearer to it, the sooner they go",
        _FRACTION,
        reloads=True,
    )
    disk_watch_interval_s: float = setting(
        60.0, "sandboxes: between two looks at the disk", _INTERVAL_S, name="disk_watch_interval", reloads=True
    )
    fetcher_cache_size_bytes: int = setting(
        2 * 2**30, "fetcher: how much is kept of what tasks want cached", SIZE_BYTES, name="fetcher_cache_size"
    )
    fetcher_size_limit_bytes: int = setting(
        10 * 2**30, "fetcher: the most that one URI may be, fetched or unpacked", SIZE_BYTES, name="fetcher_size_limit"
    )
    fetcher_timeout_s: float = setting(
        900.0, "fetcher: for all URIs of a command together", DURATION_S, name="fetcher_timeout"
    )
    fetcher_stall_timeout_s: float = setting(
        60.0, "fetcher: a server that sends nothing for so long is given up", DURATION_S, name="fetcher_stall_timeout"
    )
    fetcher_least_bytes_per_s: int = setting(
        1024,
        "fetcher: a server that sends fewer bytes/s for as long as the stall timeout is given up; 0: none is",
        whole(0, 10**12),
        name="fetcher_least_speed",
    )
    ended_limit_count: int = setting(1000, "how many ended containers are remembered", whole(0, 1_000_000))
    log_format: LogFormat = setting(LogFormat.LOGFMT, "how a line of the log looks", one_of(LogFormat), reloads=True)
    log_level: str = setting("info", "debug, info, warning or error", _LEVEL, reloads=True)
    container_log_size_bytes: int | None = setting(
        DEFAULT_LOG_POLICY.file_bytes,
        "of one file of a task's stdout or stderr, for tasks that name none; no limit, and one file, when empty",
        _LOG_SIZE,
        name="container_log_size",
    )
    container_log_file_count: int = setting(
        DEFAULT_LOG_POLICY.file_count or 1,
        "files of each log, the active one included, for tasks that name none",
        whole(1, LOG_FILE_MOST_COUNT),
        name="container_log_files",
    )
    cgroups_enable_cfs: bool = setting(False, "cgroups/cpu: make every request a limit too", BOOLEAN)
    cgroups_limit_swap: bool = setting(True, "cgroups/mem: memory and swap together are limited", BOOLEAN)
    default_pids_limit_count: int = setting(
        IsolatorSettings().default_pids_limit_count,
        "cgroups/pids: for containers that name none",
        whole(1, 4_194_304),
        name="default_pids_limit",
    )
    container_disk_watch_interval_s: float = setting(
        15.0, "disk/du: between two counts of a sandbox", _INTERVAL_S, name="container_disk_watch_interval"
    )
    enforce_container_disk_quota: bool = setting(True, "disk/du: end what uses more than its disk", BOOLEAN)
    du_parallel_count: int = setting(2, "disk/du: how many du may run at once", whole(1, 64), name="du_parallel")
    bounding_capabilities: tuple[str, ...] | None = setting(
        None, "linux/capabilities: the most that a task may have; Docker's fourteen when empty", _WORDS_OR_NONE
    )
    effective_capabilities: tuple[str, ...] | None = setting(
        None,
        "linux/capabilities: what root gets when it asks for nothing; the bounding ones when empty",
        _WORDS_OR_NONE,
    )
    allow_new_privileges: bool = setting(
        False, "linux/nnp: users other than root may switch it off for their tasks (sudo, a setuid ping)", BOOLEAN
    )
    allowed_rlimits: tuple[tuple[str, int | None], ...] = setting(
        (),
        "posix/rlimits: the hard limits that users other than root may ask for beyond the agent's own: RLMT_RTPRIO=10",
        _RLIMITS,
    )
    disallow_sharing_agent_pid_namespace: bool = setting(
        True, "namespaces/pid: refuse tasks that ask for the host's PID namespace", BOOLEAN
    )

    docker_socket: str = setting(docker_settings.DEFAULT_SOCKET, "docker: where the engine listens", PATH)
    docker_config: str | None = setting(
        None, "docker: config.json with the registries' credentials; none are used when empty", _PATH_OR_NONE
    )
    docker_pull_timeout_s: float = setting(
        docker_settings.DEFAULT_PULL_TIMEOUT_S,
        "docker: a pull that takes longer is a failed launch",
        _INTERVAL_S,
        name="docker_pull_timeout",
    )
    docker_call_timeout_s: float = setting(
        docker_settings.DEFAULT_CALL_TIMEOUT_S,
        "docker: an engine that does not answer a question for so long is hung; a change has a minute at least, new limits 12s",
        _INTERVAL_S,
        name="docker_call_timeout",
    )
    docker_allowed_parameters: tuple[str, ...] = setting(
        ORDINARY, "docker: the further parameters that tasks may use", docker_settings.PARAMETERS
    )
    docker_allow_privileged: bool = setting(False, "docker: root's tasks may be privileged, that is root here", BOOLEAN)
    docker_mount_sandbox_at: str = setting(
        docker_settings.DEFAULT_SANDBOX, "docker: where a container finds its sandbox", docker_settings.SANDBOX
    )

    def __post_init__(self) -> None:
        """What settings must agree on."""
        if f"{self.work_dir}/".startswith(f"{self.state_dir.rstrip('/')}/"):
            message = f"work_dir: {self.work_dir} is in state_dir, which is root's alone; name one that tasks' users can reach"
            raise ConfigError((message,))
        _ = self.http_addresses
        for index, address in enumerate(self.master):
            parse_address(address, f"master[{index}]")
        _, tcp = self.addresses
        exposure.check(tcp, insecure=self.insecure)
        if self.tcp_uid is not None and not tcp:
            raise ConfigError(("tcp_uid: it means nothing without a host:port in listen",))

    @property
    def addresses(self) -> tuple[str, str]:
        """The unix path and the host:port of `listen`; an empty one is not there."""
        addresses = [parse_address(text, f"listen[{index}]") for index, text in enumerate(self.listen)]
        unix = [address.unix_path for address in addresses if address.unix_path]
        tcp = [address.tcp for address in addresses if address.tcp]
        if len(unix) > 1 or len(tcp) > 1 or not addresses:
            raise ConfigError(("--listen: give one unix:/path, one host:port, or one of each",))
        return unix[0] if unix else "", tcp[0] if tcp else ""

    @property
    def http_addresses(self) -> http.HttpAddresses:
        """Where HTTP is served. Raises ConfigError or InvalidRequest."""
        unix_path, tcp = self.addresses
        return http.http_addresses(self.http_listen, grpc_unix_path=unix_path, grpc_tcp=tcp, insecure=self.insecure)

    @property
    def sockets_dir(self) -> str:
        """Where launcher and shims listen."""
        return self.runtime_dir or f"{self.state_dir}/run"

    @property
    def log_policy(self) -> LogPolicy:
        """What tasks' own policies stand upon."""
        size_bytes = self.container_log_size_bytes
        return LogPolicy(file_bytes=-1 if size_bytes is None else size_bytes, file_count=self.container_log_file_count)

    @property
    def for_isolators(self) -> IsolatorSettings:
        """Their part."""
        return IsolatorSettings(
            cgroups_enable_cfs=self.cgroups_enable_cfs,
            cgroups_limit_swap=self.cgroups_limit_swap,
            default_pids_limit_count=self.default_pids_limit_count,
            container_disk_watch_interval_ms=round(self.container_disk_watch_interval_s * 1000),
            enforce_container_disk_quota=self.enforce_container_disk_quota,
            du_parallel_count=self.du_parallel_count,
            bounding_capabilities=self.bounding_capabilities,
            effective_capabilities=self.effective_capabilities,
            disallow_sharing_agent_pid_namespace=self.disallow_sharing_agent_pid_namespace,
            work_dir=self.work_dir,
        )


def configuration() -> Configuration[Settings]:
    """Where the settings come from."""
    return Configuration("agentd", VERSION, Settings, DEFAULT_FILE)
