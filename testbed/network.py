"""A network of the testbed's own: each host has a namespace with one link, and a bridge joins them in a further namespace.

Nothing of it is in the machine's own network. What goes wrong is made of the same links: a host that cannot send to another
one has a neighbour entry for it that nobody answers to, so its packets go into the void without a word to the sender.
"""

from __future__ import annotations

import ipaddress

from pyroute2 import IPRoute

PREFIX_LENGTH = 24
_VOID = "02:00:00:00:00:ff"
_PERMANENT = 0x80
_ROOT = 0xFFFFFFFF
_LINK = "eth0"
_BRIDGE = "bridge"


def _inside(pid: int) -> IPRoute:
    """Links and addresses as this process sees them."""
    return IPRoute(netns=f"/proc/{pid}/ns/net")


def make_bridge(fabric_pid: int, address: str) -> None:
    """In the namespace of this process; who works there is on the network too, at this address."""
    with _inside(fabric_pid) as fabric:
        fabric.link("add", ifname=_BRIDGE, kind="bridge")
        bridge = _index(fabric, _BRIDGE)
        fabric.addr("add", index=bridge, address=address, prefixlen=PREFIX_LENGTH)
        for link in (bridge, _index(fabric, "lo")):
            fabric.link("set", index=link, state="up")


def join(fabric_pid: int, host_pid: int, name: str, address: str) -> None:
    """Give the host its link. It goes with either namespace."""
    with _inside(fabric_pid) as fabric:
        fabric.link("add", ifname=name, kind="veth", peer={"ifname": _LINK, "net_ns_pid": host_pid})
        fabric.link("set", index=_index(fabric, name), master=_index(fabric, _BRIDGE), state="up")
    with _inside(host_pid) as host:
        link = _index(host, _LINK)
        host.link("set", index=_index(host, "lo"), state="up")
        # The same card as before its crash: nobody must learn a new one first.
        octets = bytes((2, 0)) + ipaddress.IPv4Address(address).packed
        host.link("set", index=link, address=octets.hex(":"))
        host.addr("add", index=link, address=address, prefixlen=PREFIX_LENGTH)
        host.link("set", index=link, state="up")


def unplug(host_pid: int) -> None:
    """No packet leaves or arrives any more. For ever: what its connections still had to say keeps the namespace for minutes."""
    with _inside(host_pid) as host:
        host.link("del", index=_index(host, _LINK))


def cut(host_pid: int, towards: str) -> None:
    """The host's packets to this address are lost; those from there arrive."""
    with _inside(host_pid) as host:
        host.neigh("replace", dst=towards, lladdr=_VOID, ifindex=_own(host), state=_PERMANENT)


def slow(host_pid: int, rate_kbit: int) -> None:
    """What the host sends leaves at this rate at most."""
    restore_speed(host_pid)
    with _inside(host_pid) as host:
        host.tc("add", "tbf", _own(host), 0, rate=f"{rate_kbit}kbit", burst=16_384, limit=1 << 20)


def heal(host_pid: int) -> None:
    """All of the above is undone."""
    restore_speed(host_pid)
    with _inside(host_pid) as host:
        link = _own(host)
        for entry in host.get_neighbours(ifindex=link):
            if entry.get("state", 0) & _PERMANENT and entry.get("lladdr") == _VOID:
                host.neigh("del", dst=entry.get("dst"), ifindex=link)


def restore_speed(host_pid: int) -> None:
    """Idempotent."""
    with _inside(host_pid) as host:
        link = _own(host)
        if any(each.get("kind") == "tbf" for each in host.get_qdiscs(index=link)):
            host.tc("del", index=link, parent=_ROOT)


def _own(route: IPRoute) -> int:
    """The link by which whoever is there sends."""
    found: list[int] = [*route.link_lookup(ifname=_LINK), *route.link_lookup(ifname=_BRIDGE)]
    return found[0]


def _index(route: IPRoute, name: str) -> int:
    found: list[int] = list(route.link_lookup(ifname=name))
    return found[0]
