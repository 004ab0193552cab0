"""Further parameters of a Docker task in the engine's words: where each of `docker run`'s flags stands in the order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
Body = dict[str, Json]


def add(body: Body, parameters: tuple[tuple[str, str], ...], network: str) -> None:
    """To the body of a creation. Each was checked by paddock.model.docker_parameters; `network`: the container's."""
    for key, value in parameters:
        if key in _OF_THE_HOST:
            name, read = _OF_THE_HOST[key]
            host = _inner(body, "HostConfig")
            host[name] = _joined(host.get(name), read(value))
        elif key in _OF_THE_NETWORK:
            name, read = _OF_THE_NETWORK[key]
            _inner(_inner(_inner(body, "NetworkingConfig"), "EndpointsConfig"), network)[name] = read(value)
        else:
            body[_OF_THE_CONTAINER[key]] = value


def _inner(body: Body, name: str) -> Body:
    found = body.setdefault(name, {})
    assert isinstance(found, dict), f"{name} holds further fields"
    return found


def _joined(earlier: Json, value: Json) -> Json:
    """Lists grow; what is one thing is that one."""
    return [*earlier, *value] if isinstance(earlier, list) and isinstance(value, list) else value


def _words(value: str) -> Json:
    return list(value.split(","))


def _pairs(value: str) -> Json:
    return dict(_pair(word) for word in value.split(","))


def _pair(word: str) -> tuple[str, Json]:
    name, _, value = word.partition("=")
    return name, value


def _address(value: str) -> Json:
    return {"IPv4Address": value}


def _text(value: str) -> Json:
    return value


_Table = Mapping[str, tuple[str, Callable[[str], Json]]]
_OF_THE_HOST: _Table = {
    "blkio-weight": ("BlkioWeight", int),
    "cpuset-cpus": ("CpusetCpus", _text),
    "cpuset-mems": ("CpusetMems", _text),
    "group-add": ("GroupAdd", _words),
    "ipc": ("IpcMode", _text),
    "memory-swappiness": ("MemorySwappiness", int),
    "oom-score-adj": ("OomScoreAdj", int),
    "runtime": ("Runtime", _text),
    "security-opt": ("SecurityOpt", _words),
    "storage-opt": ("StorageOpt", _pairs),
    "sysctl": ("Sysctls", _pairs),
    "userns": ("UsernsMode", _text),
    "uts": ("UTSMode", _text),
}
_OF_THE_NETWORK: _Table = {"ip": ("IPAMConfig", _address), "network-alias": ("Aliases", _words)}
_OF_THE_CONTAINER = {"domainname": "Domainname"}

KNOWN = frozenset((*_OF_THE_HOST, *_OF_THE_NETWORK, *_OF_THE_CONTAINER))
