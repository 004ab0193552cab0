"""What a verb cannot do to the testbed as it is, said before anything is done: what is wrong, and what to do instead."""

from __future__ import annotations

from testbed.three_hosts import OUTSIDE, Testbed

_NOT_OF_FROZEN = {
    "freeze": "cannot freeze {}: it is frozen already; `heal` lets it go on",
    "exec": "cannot exec on {}: it is frozen, and nothing would run; `heal` lets it go on",
    "install": "cannot install on {}: it is frozen, and nothing would run; `heal` lets it go on",
}


_DOING = {"exec": "exec on", "install": "install on"}


class WrongUse(Exception):
    """Names host and state, and the remedy. Nothing was changed."""


def check_root(uid: int) -> None:
    """Raises WrongUse: hosts, cgroups and networks are root's to make."""
    if uid != 0:
        raise WrongUse(f"it makes hosts, cgroups and networks, and uid {uid} may not: run it as root")


def check_verb(testbed: Testbed, verb: str, places: tuple[str, ...]) -> None:
    """`places` are those that the verb names. Raises WrongUse."""
    if verb == "down":
        return
    if not testbed.is_up:
        raise WrongUse(
            f"the testbed in {testbed.directory} was ended from outside, perhaps with this machine's last boot: "
            "`down` removes what is left of it, then `up` makes one"
        )
    for host in (testbed.hosts[place] for place in places if place != OUTSIDE):
        if not host.is_up:
            already = " already" if verb == "crash" else ""
            raise WrongUse(f"cannot {_DOING.get(verb, verb)} {host.name}: it is down{already}; `heal` boots it")
        if host.is_frozen and verb in _NOT_OF_FROZEN:
            raise WrongUse(_NOT_OF_FROZEN[verb].format(host.name))
