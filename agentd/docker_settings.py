"""What the settings about Docker may be, each as its text is read; and the file that one of them names."""

from __future__ import annotations

import os

from agentd.docker.credentials import SIZE_LIMIT_BYTES, Credentials, credentials_from
from paddock.daemon.settings import PATH, WORDS, Kind, Rejected, checked
from paddock.model.docker_parameters import check_key
from paddock.model.docker_parts import check_container_path
from paddock.model.errors import InvalidRequest
from paddock.model.task import ContainerType

_OTHERS = 0o007
DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_SANDBOX = "/mnt/paddock/sandbox"
DEFAULT_PULL_TIMEOUT_S = 900.0
DEFAULT_CALL_TIMEOUT_S = 10.0


def _containerizers(text: str) -> tuple[ContainerType, ...]:
    known = [container_type.value for container_type in ContainerType]
    words = WORDS.parse(text)
    if not words or len(set(words)) < len(words) or not set(words) <= set(known):
        raise Rejected(f"name one or more of {', '.join(known)}, each once")
    return tuple(ContainerType(word) for word in words)


def _check_parameters(keys: tuple[str, ...]) -> None:
    if len(set(keys)) < len(keys):
        raise Rejected("name each key once")
    for key in keys:
        try:
            check_key(key, key)
        except InvalidRequest as error:
            raise Rejected(f"{key!r}: {error.remedy}") from None


def _check_sandbox(path: str) -> None:
    try:
        check_container_path(path, "")
    except InvalidRequest as error:
        raise Rejected(error.remedy) from None


def _show_types(types: tuple[ContainerType, ...]) -> str:
    return ",".join(container_type.value for container_type in types)


CONTAINERIZERS: Kind[tuple[ContainerType, ...]] = Kind("A,B", _containerizers, _show_types)
PARAMETERS: Kind[tuple[str, ...]] = checked(WORDS, _check_parameters)
SANDBOX: Kind[str] = checked(PATH, _check_sandbox)


def read_credentials(path: str) -> Credentials:
    """As they are now: whoever renews them need not start the agent again. Raises InvalidRequest."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                remedy = "others than its owner and group may read or write these secrets: chmod o= on it"
                raise InvalidRequest("docker_config", path, remedy)
            return credentials_from(file.read(SIZE_LIMIT_BYTES + 1), path)
    except OSError as error:
        remedy = f"it cannot be read ({error.strerror}): put it right, or leave --docker-config out"
        raise InvalidRequest("docker_config", path, remedy) from None
