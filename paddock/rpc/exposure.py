"""Addresses that other machines reach: without TLS nothing there is encrypted, and callers are who they say they are."""

from __future__ import annotations

import ipaddress
import logging

from paddock.model.errors import ConfigError

HELP = (
    "allow TCP addresses that other machines reach: nothing is encrypted there, and callers are who they say they are"
)

_log = logging.getLogger(__name__)


def is_exposed(address: str) -> bool:
    """Whether other machines reach this host:port. A name may lead anywhere, but for the one that every system has."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def check(address: str, *, insecure: bool) -> None:
    """Raises ConfigError for an address (empty: none) that an operator has to want explicitly."""
    if address and is_exposed(address) and not insecure:
        remedy = "use 127.0.0.1 or a unix socket; or, where the network is trusted, set insecure too"
        raise ConfigError((f"listen: {address}: other machines reach it, and nothing is encrypted: {remedy}",))


def tell(address: str, tcp_uid: int | None) -> None:
    """At every start of a daemon that serves there."""
    if address and is_exposed(address):
        caller = "nobody without a token" if tcp_uid is None else f"uid {tcp_uid}"
        _log.warning("serves other machines without encryption", extra={"address": address, "callers_count_as": caller})
