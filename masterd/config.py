"""masterd's settings: frozen, from file, environment and flags of the same names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from masterd.allocator.interface import AllocatorSettings, Minimum
from masterd.core.state import Settings
from masterd.setting_kinds import (
    ADDRESSES,
    ALLOCATOR,
    INTERVAL_S,
    LEVEL,
    LIST_PATH,
    MINIMUM,
    RESOURCE_NAMES,
    ROLES,
    SHARE,
    WEIGHTS,
    parse_weights,
)
from paddock import __version__
from paddock.daemon.config import Configuration
from paddock.daemon.logging import LogFormat
from paddock.daemon.settings import (
    BOOLEAN,
    DURATION_S,
    PATH,
    SIZE_BYTES,
    TEXT,
    WORDS,
    one_of,
    optional,
    setting,
    whole,
)
from paddock.http import addresses as http
from paddock.model.errors import ConfigError
from paddock.model.resources import DEFAULT_ROLE
from paddock.rpc import exposure
from paddock.rpc.address import Address, parse_address

DEFAULT_PATH = "/etc/paddock/masterd.toml"
_MS_PER_S = 1_000
_NS_PER_S = 1_000_000_000
_DEFAULTS = AllocatorSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSettings:
    """Names and numbers are Mesos' where the meaning is the same."""

    listen: tuple[str, ...] = setting(
        ("unix:/run/paddock/masterd.sock",),
        "where to listen: unix:/path, host:port, or one of each",
        ADDRESSES,
    )
    state_dir: str = setting("/var/lib/paddock/masterd", "where the registry is kept; masterd's own directory", PATH)
    allocation_interval_s: float = setting(
        1.0, "how often all free resources are offered anew", INTERVAL_S, name="allocation_interval"
    )
    allocator: str = setting(
        "drf", "who decides: drf (fair shares), random (weighted lots), or an installed one", ALLOCATOR
    )
    roles: tuple[str, ...] = setting(
        (),
        "the only roles, beside *, that may be subscribed with or have a weight, quota or reservation; empty: all",
        ROLES,
    )
    weights: tuple[str, ...] = setting((), "weights of roles, role=weight; they replace what the registry has", WEIGHTS)
    min_allocatable_resources: Minimum = setting(
        _DEFAULTS.minimum,
        "the least that is offered: all of one of these; empty: anything. A framework may say otherwise for itself",
        MINIMUM,
    )
    fair_sharing_excluded_resource_names: tuple[str, ...] = setting(
        (), "resources of which having much does not count in the fair share: gpus", RESOURCE_NAMES
    )
    filter_gpu_resources: bool = setting(
        _DEFAULTS.filter_gpus, "agents with gpus are offered only to frameworks with GPU_RESOURCES", BOOLEAN
    )
    region: str = setting(
        "",
        "where masterd stands: agents elsewhere are offered only to frameworks with REGION_AWARE; empty: no matter",
        TEXT,
    )
    allocator_agent_recovery_factor: Fraction = setting(
        _DEFAULTS.recovery_share,
        "where there are quotas: which part of the agents must be back before offers begin",
        SHARE,
    )
    allocator_recovery_timeout_s: float = setting(
        600.0, "how long offers wait for them at most", INTERVAL_S, name="allocator_recovery_timeout"
    )
    run_on_recovery: bool = setting(
        _DEFAULTS.run_on_recovery, "resources that come back are offered at once; false: at the next interval", BOOLEAN
    )
    nested_quota: bool = setting(
        _DEFAULTS.nested_quota, "a quota binds the roles below its own too; false: only its own, as in Mesos", BOOLEAN
    )
    decline_backoff: bool = setting(
        _DEFAULTS.decline_backoff, "who only declines in a role is asked less and less often there", BOOLEAN
    )
    whitelist: str | None = setting(
        None,
        "a file of host names, one a line: only their agents are offered (none in it: nobody's); empty: all",
        LIST_PATH,
        reloads=True,
    )
    agent_ping_timeout_s: float = setting(
        15.0, "how long an agent may take to answer a ping", INTERVAL_S, name="agent_ping_timeout"
    )
    max_agent_ping_timeouts: int = setting(5, "how many unanswered pings make an agent unreachable", whole(1, 1_000))
    agent_reregister_timeout_s: float = setting(
        600.0,
        "how long agents have to come back after a start of masterd",
        INTERVAL_S,
        name="agent_reregister_timeout",
    )
    registry_max_agent_age_s: float = setting(
        1_209_600.0,
        "how long an agent that is out of reach is remembered",
        INTERVAL_S,
        name="registry_max_agent_age",
    )
    registry_max_agent_count: int = setting(
        102_400, "how many agents that are out of reach are remembered", whole(0, 10_000_000)
    )
    framework_resubscribe_timeout_s: float = setting(
        60.0,
        "how long frameworks have at least to come back after a start of masterd",
        INTERVAL_S,
        name="framework_resubscribe_timeout",
    )
    max_frameworks: int = setting(
        10_000, "how many frameworks may be subscribed, or away for their failover time", whole(1, 1_000_000)
    )
    heartbeat_interval_s: float = setting(
        15.0, "how often a framework that hears nothing else hears a heartbeat", INTERVAL_S, name="heartbeat_interval"
    )
    offer_timeout_s: float = setting(
        300.0, "after which time an unanswered offer is taken back; 0s: never", DURATION_S, name="offer_timeout"
    )
    allocator_seed: int | None = setting(
        None, "makes the order in which agents are visited repeatable", optional(whole(0, 2**31))
    )
    record_events: str | None = setting(
        None,
        "a file that gets all events of this run, to replay them (paddock replay); tasks' environments are in it",
        optional(PATH),
    )
    record_events_limit_bytes: int = setting(
        2**30, "how large that file may get; then the recording ends", SIZE_BYTES, name="record_events_limit"
    )
    tcp_uid: int | None = setting(
        None,
        "as which uid callers over TCP count, where the network is trusted; empty: they are refused",
        optional(whole(0, 2**31)),
    )
    log_format: LogFormat = setting(LogFormat.LOGFMT, "how log lines look", one_of(LogFormat), reloads=True)
    log_level: str = setting("info", "the least important lines that are written", LEVEL, reloads=True)
    http_listen: tuple[str, ...] = setting((), http.HELP, WORDS)
    insecure: bool = setting(False, exposure.HELP, BOOLEAN)
    metrics_role_limit_count: int = setting(
        500,
        "how many roles have metrics of their own; the others are summed as the role `other`",
        whole(0, 1_000_000),
        name="metrics_role_limit",
    )

    def __post_init__(self) -> None:
        """What two settings must agree on."""
        exposure.check(self.tcp_address, insecure=self.insecure)
        if self.tcp_uid is not None and not self.tcp_address:
            raise ConfigError(("tcp_uid: it means nothing without a host:port in listen",))
        _ = self.http_addresses
        unknown = [
            role for role, _ in parse_weights(self.weights) if self._roles is not None and role not in self._roles
        ]
        if unknown:
            raise ConfigError((f"weights: {unknown[0]} is none of `roles`; add it there, or take its weight away",))

    @property
    def _roles(self) -> frozenset[str] | None:
        return frozenset((*self.roles, DEFAULT_ROLE)) if self.roles else None

    @property
    def _addresses(self) -> tuple[Address, ...]:
        return tuple(parse_address(word, "listen") for word in self.listen)

    @property
    def unix_path(self) -> str:
        """Empty: no unix socket."""
        return next((address.unix_path for address in self._addresses if address.unix_path), "")

    @property
    def tcp_address(self) -> str:
        """Empty: no TCP."""
        return next((address.tcp for address in self._addresses if address.tcp), "")

    @property
    def http_addresses(self) -> http.HttpAddresses:
        """Where HTTP is served. Raises ConfigError or InvalidRequest."""
        return http.http_addresses(
            self.http_listen, grpc_unix_path=self.unix_path, grpc_tcp=self.tcp_address, insecure=self.insecure
        )

    @property
    def core(self) -> Settings:
        """As the core takes them."""
        return Settings(
            ping_interval_ms=int(self.agent_ping_timeout_s * _MS_PER_S),
            ping_limit_count=self.max_agent_ping_timeouts,
            reregister_timeout_ms=int(self.agent_reregister_timeout_s * _MS_PER_S),
            resubscribe_grace_ms=int(self.framework_resubscribe_timeout_s * _MS_PER_S),
            framework_limit_count=self.max_frameworks,
            heartbeat_interval_ms=int(self.heartbeat_interval_s * _MS_PER_S),
            offer_timeout_ms=int(self.offer_timeout_s * _MS_PER_S),
            unreachable_age_limit_ms=int(self.registry_max_agent_age_s * _MS_PER_S),
            unreachable_limit_count=self.registry_max_agent_count,
            roles=self._roles,
        )

    @property
    def allocator_settings(self) -> AllocatorSettings:
        """As the allocator takes them."""
        return AllocatorSettings(
            interval_ns=int(self.allocation_interval_s * _NS_PER_S),
            minimum=self.min_allocatable_resources,
            excluded_from_shares=frozenset(self.fair_sharing_excluded_resource_names),
            filter_gpus=self.filter_gpu_resources,
            master_region=self.region,
            recovery_share=self.allocator_agent_recovery_factor,
            recovery_timeout_ns=int(self.allocator_recovery_timeout_s * _NS_PER_S),
            run_on_recovery=self.run_on_recovery,
            nested_quota=self.nested_quota,
            decline_backoff=self.decline_backoff,
        )


def configuration() -> Configuration[MasterSettings]:
    """Where the settings come from."""
    return Configuration("masterd", __version__, MasterSettings, DEFAULT_PATH)
