"""Events that nobody sends: masterd makes them of its own configuration, at its start and when that is read anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WhitelistChanged:
    """Only agents on these hosts are offered from now on. None: all; empty: none."""

    hostnames: tuple[str, ...] | None
