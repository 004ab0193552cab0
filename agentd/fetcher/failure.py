"""Why something could not be fetched, in words for whoever asked for it."""

from __future__ import annotations


class FetchFailure(Exception):
    """`stale`: another copy of the same may be better (a checksum that does not match)."""

    def __init__(self, message: str, *, stale: bool = False) -> None:
        """`message` says what was tried, what was found, and what to do; the URI is added by the agent."""
        super().__init__(message)
        self.message = message
        self.stale = stale
