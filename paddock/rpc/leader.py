"""Which of several masters to ask: the seam for elections, and its built-in form, a list."""

from __future__ import annotations

from typing import Protocol

from paddock.model.errors import ConfigError, InvalidRequest
from paddock.rpc.channel import Address, parse_address


class LeaderDetector(Protocol):
    """Asked before every connection, told how it went."""

    def current(self) -> Address:
        """Whom to ask now."""

    def failed(self, address: Address) -> None:
        """It did not answer, or does not lead and knows no leader: ask another one next."""

    def redirected(self, leader_address: str) -> None:
        """A master said who leads; the empty text means that it does not know."""


class StaticMasters:
    """A list, walked round. A leader that was named is asked next, also when it is not in the list."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        """Raises ConfigError when the list is empty, InvalidRequest when an address is none."""
        if not addresses:
            raise ConfigError(("master: give the address of one master or more, unix:/path or host:port",))
        self._addresses = tuple(parse_address(address, f"master[{index}]") for index, address in enumerate(addresses))
        self._index = 0
        self._named: Address | None = None

    def current(self) -> Address:
        """The named leader, else the list's turn."""
        return self._named or self._addresses[self._index]

    def failed(self, address: Address) -> None:
        """Moves on only when it is about the current one: a late report of an earlier one changes nothing."""
        if address != self.current():
            return
        if self._named is not None:
            self._named = None
        else:
            self._index = (self._index + 1) % len(self._addresses)

    def redirected(self, leader_address: str) -> None:
        """Followed at once; what is no address counts as not knowing."""
        try:
            self._named = parse_address(leader_address, "leader_address")
        except InvalidRequest:
            self.failed(self.current())
