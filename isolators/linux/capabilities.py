"""linux/capabilities: root in a container has Docker's fourteen capabilities at most, unless the operator allows more."""

from __future__ import annotations

from typing import ClassVar

from isolators.contract import HostFacts, Isolator, IsolatorSettings
from paddock.kernel.capabilities import NUMBERS
from paddock.model.capabilities import DEFAULT_BOUNDING
from paddock.model.container import ContainerConfig
from paddock.model.errors import ConfigError, ContainerizerError, InvalidRequest
from paddock.model.launch_plan import Capabilities, LaunchPlan
from paddock.model.task import LinuxInfo


def in_order(names: set[str] | frozenset[str]) -> tuple[str, ...]:
    """By number, so that equal sets make equal plans."""
    return tuple(sorted(names, key=NUMBERS.__getitem__))


class CapabilitiesIsolator(Isolator):
    """effective ⊆ bounding ⊆ what the operator allows and this host has."""

    name: ClassVar[str] = "linux/capabilities"
    ends_briefly: ClassVar[bool] = True

    def __init__(self, host: HostFacts, settings: IsolatorSettings) -> None:
        """Raises ConfigError for names that no kernel knows, and for flags that contradict each other or this host."""
        super().__init__(host, settings)
        bounding = settings.bounding_capabilities
        effective = settings.effective_capabilities
        problems = [
            *_problems("--bounding_capabilities", bounding, host.capabilities),
            *_problems("--effective_capabilities", effective, host.capabilities),
        ]
        possible = set(NUMBERS if host.capabilities is None else host.capabilities)
        self._bounding = frozenset(DEFAULT_BOUNDING if bounding is None else bounding) & possible
        self._effective = self._bounding if effective is None else frozenset(effective)
        beyond = self._effective - self._bounding
        if beyond and not problems:
            problems.append(
                f"--effective_capabilities: {', '.join(sorted(beyond))} must be in --bounding_capabilities too"
            )
        if problems:
            raise ConfigError(tuple(problems))

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """Raises InvalidRequest for unknown names or effective ⊄ bounding, ContainerizerError for what is not allowed here."""
        linux = container.container.linux
        bounding = self._asked(container, "bounding", linux.bounding_capabilities, self._bounding)
        effective = self._asked(container, "effective", linux.effective_capabilities, self._effective)
        if linux.effective_capabilities is None:
            effective &= bounding
        elif beyond := effective - bounding:
            raise InvalidRequest(
                "container.linux.effective_capabilities", sorted(beyond), "each must be in bounding_capabilities too"
            )
        return LaunchPlan(capabilities=_for_user(container.user.uid, bounding, effective, linux))

    def _asked(
        self, container: ContainerConfig, kind: str, asked: tuple[str, ...] | None, default: frozenset[str]
    ) -> frozenset[str]:
        if asked is None:
            return default
        field = f"container.linux.{kind}_capabilities"
        unknown = sorted(set(asked) - set(NUMBERS))
        if unknown:
            raise InvalidRequest(field, unknown, "use names as in capabilities(7): CAP_NET_RAW")
        refused = set(asked) - self._bounding
        if refused:
            names = ", ".join(in_order(refused))
            message = (
                f"{field}: {names} is not allowed on this agent (--bounding_capabilities, or the agent itself lacks it)"
            )
            raise ContainerizerError(container.container_id, "prepare", message)
        return frozenset(asked)


def _for_user(uid: int, bounding: frozenset[str], effective: frozenset[str], linux: LinuxInfo) -> Capabilities:
    """What the kernel will really give at execve.

    Root gets its whole bounding set whatever was effective before, so for root the bounding set is cut to the effective
    one. Another user gets what is ambient and nothing else, so it must be asked for by name.
    """
    if uid == 0:
        given = in_order(effective)
        return Capabilities(bounding=given, effective=given)
    kept = in_order(effective) if linux.effective_capabilities is not None else ()
    return Capabilities(bounding=in_order(bounding), effective=kept, ambient=kept)


def _problems(flag: str, names: tuple[str, ...] | None, host: tuple[str, ...] | None) -> list[str]:
    unknown = sorted(set(names or ()) - set(NUMBERS))
    if unknown:
        return [f"{flag}: {', '.join(unknown)} is unknown: use names as in capabilities(7), e.g. CAP_NET_RAW"]
    absent = set(names or ()) - set(host) if host is not None else set()
    if absent:
        return [f"{flag}: {', '.join(in_order(absent))} cannot be given: this agent does not have it itself"]
    return []
