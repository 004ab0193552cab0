"""masterd's settings: frozen, from file, environment and flags of the same names."""

from __future__ import annotations

from dataclasses import dataclass

from masterd import allocators
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.shares import WEIGHT_LIMIT_MILLI
from masterd.core.state import Settings
from paddock import __version__
from paddock.daemon.config import Configuration
from paddock.daemon.logging import LogFormat
from paddock.daemon.settings import (
    BOOLEAN,
    DURATION_S,
    PATH,
    SIZE_BYTES,
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
from paddock.model.errors import ConfigError, InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resource_text import parse_scalar_milli
from paddock.rpc import exposure
from paddock.rpc.address import Address, parse_address

DEFAULT_PATH = "/etc/paddock/masterd.toml"
_MS_PER_S = 1_000
_NS_PER_S = 1_000_000_000
_LEVELS = ("debug", "info", "warning", "error")


def _check_addresses(words: tuple[str, ...]) -> None:
    addresses = [parse_address(word, "listen") for word in words]
    if not addresses:
        raise Rejected("give at least one address: unix:/path, host:port, or one of each")
    if sum(bool(address.unix_path) for address in addresses) > 1 or sum(bool(each.tcp) for each in addresses) > 1:
        raise Rejected("give at most one unix:/path and one host:port")


def parse_weights(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """`role=weight` words; weights in thousandths. Raises InvalidRequest naming the word."""
    weights: dict[str, int] = {}
    for word in words:
        role, equals, text = word.rpartition("=")
        if not equals or check_role(role, "weights") in weights:
            raise InvalidRequest("weights", word, "write role=weight, each role once")
        weights[role] = _weight_milli(text, word)
    return tuple(sorted(weights.items()))


def _weight_milli(text: str, word: str) -> int:
    remedy = f"a weight is a number between 0.001 and {WEIGHT_LIMIT_MILLI // 1000}"
    try:
        weight_milli = parse_scalar_milli("weight", text, "weights")
    except InvalidRequest:
        raise InvalidRequest("weights", word, remedy) from None
    if not 1 <= weight_milli <= WEIGHT_LIMIT_MILLI:
        raise InvalidRequest("weights", word, remedy)
    return weight_milli


def _check_weights(words: tuple[str, ...]) -> None:
    parse_weights(words)


def _check_positive(seconds: float) -> None:
    if seconds < 0.01:
        raise Rejected("write at least 10ms")


def _level(text: str) -> str:
    if text not in _LEVELS:
        raise Rejected(f"write {', '.join(_LEVELS)}")
    return text


def _allocator(text: str) -> str:
    problem = allocators.check_name(text)
    if problem is not None:
        raise Rejected(problem)
    return text


_INTERVAL_S = checked(DURATION_S, _check_positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSettings:
    """Names and numbers are Mesos' where the meaning is the same."""

    listen: tuple[str, ...] = setting(
        ("unix:/run/paddock/masterd.sock",),
        "where to listen: unix:/path, host:port, or one of each",
        checked(WORDS, _check_addresses),
    )
    state_dir: str = setting("/var/lib/paddock/masterd", "where the registry is kept; masterd's own directory", PATH)
    allocation_interval_s: float = setting(
        1.0, "how often all free resources are offered anew", _INTERVAL_S, name="allocation_interval"
    )
    allocator: str = setting(
        "drf", "who decides: drf (fair shares), random (weighted lots), or an installed one", Kind("NAME", _allocator)
    )
    weights: tuple[str, ...] = setting(
        (), "weights of roles, role=weight; they replace what the registry has", checked(WORDS, _check_weights)
    )
    agent_ping_timeout_s: float = setting(
        15.0, "how long an agent may take to answer a ping", _INTERVAL_S, name="agent_ping_timeout"
    )
    max_agent_ping_timeouts: int = setting(5, "how many unanswered pings make an agent unreachable", whole(1, 1_000))
    agent_reregister_timeout_s: float = setting(
        600.0,
        "how long agents have to come back after a start of masterd",
        _INTERVAL_S,
        name="agent_reregister_timeout",
    )
    registry_max_agent_age_s: float = setting(
        1_209_600.0,
        "how long an agent that is out of reach is remembered",
        _INTERVAL_S,
        name="registry_max_agent_age",
    )
    registry_max_agent_count: int = setting(
        102_400, "how many agents that are out of reach are remembered", whole(0, 10_000_000)
    )
    framework_resubscribe_timeout_s: float = setting(
        60.0,
        "how long frameworks have at least to come back after a start of masterd",
        _INTERVAL_S,
        name="framework_resubscribe_timeout",
    )
    max_frameworks: int = setting(
        10_000, "how many frameworks may be subscribed, or away for their failover time", whole(1, 1_000_000)
    )
    heartbeat_interval_s: float = setting(
        15.0, "how often a framework that hears nothing else hears a heartbeat", _INTERVAL_S, name="heartbeat_interval"
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
    log_level: str = setting("info", "the least important lines that are written", Kind("LEVEL", _level), reloads=True)
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
        return http.http_addresses(self.http_listen, grpc_unix_path=self.unix_path, insecure=self.insecure)

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
        )

    @property
    def allocator_settings(self) -> AllocatorSettings:
        """As the allocator takes them."""
        return AllocatorSettings(interval_ns=int(self.allocation_interval_s * _NS_PER_S))


def configuration() -> Configuration[MasterSettings]:
    """Where the settings come from."""
    return Configuration("masterd", __version__, MasterSettings, DEFAULT_PATH)
