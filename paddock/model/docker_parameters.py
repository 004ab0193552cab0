"""Further parameters of a Docker task: `docker run`'s long flags that have no field of their own, each with what it takes."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from paddock.model.errors import InvalidRequest

VALUE_LIMIT_BYTES = 4_096
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerParameter:
    """`accepts`: in words, what `pattern` says. `ordinary`: it reaches no further than the task, so an agent allows it unless
    its operator says otherwise.
    """

    key: str
    accepts: str
    pattern: re.Pattern[str]
    ordinary: bool = True


def _parameter(key: str, pattern: str, accepts: str, *, ordinary: bool = True) -> DockerParameter:
    return DockerParameter(key=key, accepts=accepts, pattern=re.compile(pattern, re.ASCII), ordinary=ordinary)


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NUMBERS = r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*"
_SYSCTL = r"(?:net|kernel\.(?:msg|sem|shm)|fs\.mqueue)[a-z0-9_.-]*=[^,]+"

PARAMETERS = (
    _parameter("blkio-weight", r"[1-9][0-9]|[1-9][0-9]{2}|1000", "a number from 10 to 1000"),
    _parameter("cpuset-cpus", _NUMBERS, "numbers of CPUs: 0-3,5"),
    _parameter("cpuset-mems", _NUMBERS, "numbers of memory nodes: 0,1"),
    _parameter("domainname", rf"{_NAME}", "a domain's name"),
    _parameter("group-add", rf"{_NAME}(?:,{_NAME})*", "groups, by name or number: audio,27", ordinary=False),
    _parameter("ip", rf"(?:{_OCTET}\.){{3}}{_OCTET}", "an IPv4 address in the network that network_name names"),
    _parameter("ipc", r"none|private|shareable", "none, private or shareable"),
    _parameter("memory-swappiness", r"[0-9]|[1-9][0-9]|100", "a number from 0 to 100 (cgroup v1)"),
    _parameter("network-alias", rf"{_NAME}(?:,{_NAME})*", "names in the network that network_name names: db,db2"),
    _parameter("oom-score-adj", r"[0-9]|[1-9][0-9]{1,2}|1000", "a number from 0 to 1000"),
    _parameter("runtime", _NAME, "a runtime that the engine has", ordinary=False),
    _parameter("security-opt", r"[a-z-]+[=:][^,]+(?:,[a-z-]+[=:][^,]+)*", "apparmor=…, seccomp=…", ordinary=False),
    _parameter("storage-opt", r"[a-z._]+=[^,]+(?:,[a-z._]+=[^,]+)*", "size=10G"),
    _parameter(
        "sysctl", rf"{_SYSCTL}(?:,{_SYSCTL})*", "net.…, kernel.msg…, .sem, .shm…, fs.mqueue.…: net.core.somaxconn=512"
    ),
    _parameter("userns", r"host", "host", ordinary=False),
    _parameter("uts", r"host", "host", ordinary=False),
)
"""In the order of their keys."""

_BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}
ORDINARY = tuple(parameter.key for parameter in PARAMETERS if parameter.ordinary)

_FIELDS = {
    "add-host": "extra_hosts",
    "cap-add": "linux.bounding_capabilities of the container",
    "cap-drop": "linux.bounding_capabilities of the container",
    "cpu-quota": "limits.cpus_milli of the task",
    "cpu-shares": "the task's cpus",
    "cpus": "limits.cpus_milli of the task",
    "device": "devices",
    "dns": "dns",
    "dns-option": "dns_options",
    "dns-search": "dns_search",
    "entrypoint": "entrypoint",
    "env": "environment of the command",
    "hostname": "hostname",
    "init": "init",
    "label": "labels of the task",
    "memory": "the task's mem",
    "memory-swap": "limits.swap_bytes of the task",
    "mount": "volumes",
    "net": "network",
    "network": "network",
    "pid": "linux.share_host_pid_namespace of the container",
    "pids-limit": "limits.pids_count of the task",
    "privileged": "privileged",
    "publish": "port_mappings",
    "pull": "force_pull",
    "read-only": "read_only_root",
    "shm-size": "shm_size_bytes",
    "stop-signal": "kill_policy.signal of the task",
    "stop-timeout": "kill_policy.grace_period_ms of the task",
    "tmpfs": "tmpfs",
    "ulimit": "rlimits of the container",
    "user": "user of the command, or image_user",
    "volume": "volumes",
    "workdir": "working_directory of the command",
}
"""What people who know `docker run` would look for here, and what says it."""


def check_key(key: str, field: str) -> None:
    """Raises InvalidRequest naming the field that says it, or else the nearest key that there is."""
    if key in _BY_KEY:
        return
    bare = key.lstrip("-").replace("_", "-")
    if bare in _FIELDS:
        raise InvalidRequest(field, key, f"say it with {_FIELDS[bare]}")
    nearest = difflib.get_close_matches(bare[:64], _BY_KEY, n=1, cutoff=0.5)
    known = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(_BY_KEY)}"
    raise InvalidRequest(field, key, f"there is no such parameter; {known}")


def check_parameter(key: str, value: str, field: str) -> None:
    """Raises InvalidRequest naming the key, and what it takes."""
    check_key(key, field)
    parameter = _BY_KEY[key]
    if not value.isprintable() or len(value.encode()) > VALUE_LIMIT_BYTES or not parameter.pattern.fullmatch(value):
        raise InvalidRequest(f"{field}[{key}]", value, f"write {parameter.accepts}")
