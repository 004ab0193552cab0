"""The launcher's and its children's words: one line per event on stderr."""

from __future__ import annotations

import os


def log(event: str, **fields: object) -> None:
    """One line; nobody waits for who reads it."""
    line = " ".join([f"paddock-launcher: event={event}", *(f"{key}={value!r}" for key, value in fields.items())])
    try:
        os.write(2, line.encode("utf-8", "replace") + b"\n")
    except OSError:
        # Whoever read our words has gone; that must not end a launcher.
        pass
