"""Whom the agent's loop has do things, as far as it knows them."""

from __future__ import annotations

from typing import Protocol

from agentd.core import effects

MasterMessage = (
    effects.SendStatus
    | effects.SendStandalone
    | effects.SendLaunchRefused
    | effects.SendProblem
    | effects.SendVolumesRemoved
    | effects.SendVolumesFound
    | effects.SendTaskResized
)


class MasterLink(Protocol):
    """The way up. Without a connection what is sent is lost; the machine sends it again."""

    def send(self, message: MasterMessage) -> None:
        """Never blocks."""


class NoMaster:
    """An agent by itself: standalone containers only."""

    def send(self, message: MasterMessage) -> None:
        """Nobody listens."""


class Checks(Protocol):
    """Who makes them."""

    def perform(self, effect: effects.CheckEffect) -> None:
        """Never blocks."""


class Volumes(Protocol):
    """Who has their directories."""

    def arrange(self, effect: effects.ArrangeVolumes) -> None:
        """In order with preparations."""

    def remove(self, effect: effects.RemoveVolume) -> None:
        """Out of everybody's reach."""
