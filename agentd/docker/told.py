"""What is known of the engine, in a file: for `paddock doctor`, which asks no agent."""

from __future__ import annotations

import json
import logging
import os

from agentd.docker.state import EngineState
from paddock.doctor.reading_engine import SAID_FILE, SAID_FORMAT

_log = logging.getLogger(__name__)


class Told:
    """Calls' `changed`. A few hundred bytes into the page cache, some times a day."""

    def __init__(self, state_dir: str) -> None:
        """Touches nothing."""
        self._path = f"{state_dir}/{SAID_FILE}"

    def __call__(self, state: EngineState) -> None:
        """Replaced as a whole. A full disk costs only the operator's knowledge."""
        try:
            with open(f"{self._path}.new", "w", encoding="utf-8") as file:
                json.dump({"format": SAID_FORMAT, "words": state.words}, file)
            os.rename(f"{self._path}.new", self._path)
        except OSError as error:
            _log.warning("doctor will not know the engine's state", extra={"error": str(error)})
