"""Where a daemon serves HTTP: words of a setting to addresses, and what may not be without an operator's explicit word."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.errors import ConfigError
from paddock.rpc import exposure
from paddock.rpc.address import parse_address

OFF = "none"
HELP = (
    "where to serve HTTP (metrics, health): unix:/path, host:port, or one of each; none: nowhere; "
    "when empty, the gRPC socket's path with .http behind it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddresses:
    """An empty one is not there. `is_exposed`: others than this machine reach it."""

    unix_path: str = ""
    host: str = ""
    port: int = 0
    is_exposed: bool = False

    def __bool__(self) -> bool:
        """Whether HTTP is served at all."""
        return bool(self.unix_path or self.host)

    def __str__(self) -> str:
        """As the setting is written."""
        tcp = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        parts = (f"unix:{self.unix_path}" if self.unix_path else "", tcp if self.host else "")
        return ",".join(part for part in parts if part) or OFF


def http_addresses(words: tuple[str, ...], *, grpc_unix_path: str, grpc_tcp: str, insecure: bool) -> HttpAddresses:
    """Of the setting `http_listen`, beside where gRPC listens. Raises ConfigError, or InvalidRequest naming the word."""
    if words == (OFF,):
        return HttpAddresses()
    if not words:
        words = (f"unix:{grpc_unix_path}.http",) if grpc_unix_path else ()
    addresses = [parse_address(word, "http_listen") for word in words]
    for address in addresses:
        if (address.unix_path or address.tcp) in {grpc_unix_path, grpc_tcp}:
            raise ConfigError((f"http_listen: {address}: gRPC listens there (listen); choose another address",))
    unix = [address.unix_path for address in addresses if address.unix_path]
    tcp = [address.tcp for address in addresses if address.tcp]
    if len(unix) > 1 or len(tcp) > 1:
        raise ConfigError((f"http_listen: {','.join(words)}: give at most one unix:/path and one host:port",))
    host, _, port = tcp[0].rpartition(":") if tcp else ("", "", "0")
    host = host.strip("[]")
    is_exposed = bool(host) and exposure.is_exposed(tcp[0])
    if is_exposed and not insecure:
        remedy = "use 127.0.0.1 or a unix socket; or, where the network is trusted, set insecure too"
        raise ConfigError((f"http_listen: {tcp[0]}: other machines could ask, and nothing is encrypted: {remedy}",))
    return HttpAddresses(unix_path=unix[0] if unix else "", host=host, port=int(port), is_exposed=is_exposed)
