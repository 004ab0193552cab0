"""Makes the checks that the machine asks for: when they are due, within their time, never two of one container."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from agentd.containerizer.contract import Containerizer
from agentd.core.effects import CancelCheck, CancelHealthCheck, CheckEffect, CheckHealth, MakeCheck
from agentd.core.events import CheckMade, HealthChecked
from agentd.health_command import CommandChecks
from agentd.health_network import check_http, check_tcp, network_of
from paddock.daemon.clock import Clock
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.health import Check, HealthEvidence
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)
_NS_PER_S = 1e9
_NS_PER_MS = 1_000_000
_OUR_OWN_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""The agent's, not the task's."""


class Checker:
    """One kind of checks: of health, or such as only inform. For the event loop's thread."""

    def __init__(
        self, containerizer: Containerizer, post: Callable[[ContainerId, HealthEvidence], None], clock: Clock
    ) -> None:
        """`post` is called on the event loop, with what a check has found."""
        self._post = post
        self._clock = clock
        self._commands = CommandChecks(containerizer)
        self._checking: dict[ContainerId, asyncio.Task[None]] = {}

    def check(self, config: ContainerConfig, check: Check, at_ns: int, pid: int = 0) -> None:
        """Once, at this moment of the clock; posts what it found unless it is cancelled. `pid`: the command's."""
        self.cancel(config.container_id)
        checking = self._check(config, check, at_ns, pid)
        self._checking[config.container_id] = asyncio.get_running_loop().create_task(checking)

    def cancel(self, container_id: ContainerId) -> None:
        """A command that checks is killed. Idempotent."""
        checking = self._checking.pop(container_id, None)
        if checking is not None and checking is not asyncio.current_task():
            checking.cancel()

    async def stop(self) -> None:
        """The next agent goes on with them."""
        checking = tuple(self._checking.values())
        for container_id in tuple(self._checking):
            self.cancel(container_id)
        await asyncio.gather(*checking, return_exceptions=True)

    async def _check(self, config: ContainerConfig, check: Check, at_ns: int, pid: int) -> None:
        await asyncio.sleep(max(at_ns - self._clock.monotonic_ns(), 0) / _NS_PER_S)
        told: str | None = None
        while True:
            begun_ns = self._clock.monotonic_ns()
            found = await self._found(config, check, pid)
            if isinstance(found, HealthEvidence):
                break
            # Once, not at each interval: it may stay so for as long as the task runs.
            level = logging.DEBUG if found == told else logging.WARNING
            _log.log(level, "a check could not be made", extra={"container_id": config.container_id, "error": found})
            told = found
            await asyncio.sleep(check.interval_ms / 1000)
        took_ms = (self._clock.monotonic_ns() - begun_ns) // _NS_PER_MS
        _log.debug("a check was made", extra={"container_id": config.container_id, "found": found})
        self._post(config.container_id, replace(found, took_ms=took_ms))

    async def _found(self, config: ContainerConfig, check: Check, pid: int) -> HealthEvidence | str:
        """What goes wrong on the way is a check that failed, and says why. Words: why it could not be made, through no fault of
        the task's: nobody may be killed for that.
        """
        try:
            async with asyncio.timeout(check.timeout_ms / 1000):
                if check.http is not None:
                    return await check_http(check.http, network_of(config, pid))
                if check.tcp is not None:
                    return await check_tcp(check.tcp, network_of(config, pid))
                return await self._commands.check(config, check.command)
        except TimeoutError:
            return HealthEvidence(passed=False, message=f"{check}: no result within {check.timeout_ms} ms")
        except OSError as error:
            if error.errno in _OUR_OWN_WANT:
                return _not_made(error)
            return HealthEvidence(passed=False, message=f"{check}: {error.strerror or error}")
        except ContainerizerError as error:
            return HealthEvidence(passed=False, message=f"{check}: {error}")
        except Exception as error:  # noqa: BLE001 - above all: its shim is not connected just now
            return _not_made(error)


class Checks:
    """Both kinds. Two of one kind are never made of one container at once; one of each may be."""

    def __init__(
        self, containerizer: Containerizer, post: Callable[[HealthChecked | CheckMade], None], clock: Clock
    ) -> None:
        """`post` is called on the event loop."""
        self._health = Checker(
            containerizer,
            lambda container_id, found: post(HealthChecked(container_id=container_id, evidence=found)),
            clock,
        )
        self._informing = Checker(
            containerizer, lambda container_id, found: post(CheckMade(container_id=container_id, evidence=found)), clock
        )

    def perform(self, effect: CheckEffect) -> None:
        """What was asked for is posted, unless it is cancelled."""
        match effect:
            case CheckHealth():
                assert effect.config.health_check is not None
                self._health.check(effect.config, effect.config.health_check, effect.at_ns, effect.pid)
            case CancelHealthCheck():
                self._health.cancel(effect.container_id)
            case MakeCheck():
                assert effect.config.check is not None
                self._informing.check(effect.config, effect.config.check, effect.at_ns, effect.pid)
            case CancelCheck():
                self._informing.cancel(effect.container_id)
            case _:
                assert_never(effect)

    async def stop(self) -> None:
        """The next agent goes on with them."""
        await self._health.stop()
        await self._informing.stop()


def _not_made(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
