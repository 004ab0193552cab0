"""Reading the configuration anew while the daemon runs (SIGHUP): a named safe set changes, the rest waits for a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from paddock.daemon.readiness import Readiness
from paddock.daemon.settings import spec_of
from paddock.model.errors import PaddockError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")

_log = logging.getLogger(__name__)


class Reload(Generic[S]):
    """Holds the settings that are in force."""

    def __init__(
        self, settings: S, *, load: Callable[[], S], apply: Callable[[S], None], readiness: Readiness, status: str
    ) -> None:
        """`load` reads all sources again and raises ConfigError. `apply` gets settings that differ in the safe set only; it may
        raise ConfigError too, as long as it has changed nothing.
        """
        self._settings = settings
        self._load = load
        self._apply = apply
        self._readiness = readiness
        self._status = status

    def run(self) -> None:
        """What is wrong changes nothing, and is said: in the log, and in `systemctl status`."""
        self._readiness.reloading()
        try:
            wanted = self._load()
            changed = [f for f in fields(self._settings) if getattr(self._settings, f.name) != getattr(wanted, f.name)]
            now = {f.name: getattr(wanted, f.name) for f in changed if spec_of(f.metadata).reloads}
            in_force = replace(self._settings, **now)
            self._apply(in_force)
        except PaddockError as error:
            _log.error("configuration is refused; nothing changed", extra={"error": str(error)})
            self._readiness.ready(f"{self._status}; the reload was refused: {str(error).splitlines()[0]}")
            return
        self._settings = in_force
        named = {f.name: spec_of(f.metadata).flag.replace("-", "_") or f.name for f in changed}
        later = [name for field, name in named.items() if field not in now]
        _log.info(
            "configuration is read anew",
            extra={"changed": ",".join(named[field] for field in now), "needs_restart": ",".join(later)},
        )
        if later:
            _log.warning("settings that need a restart are not in force", extra={"needs_restart": ",".join(later)})
        self._readiness.ready(self._status + (f"; a restart is needed for {', '.join(later)}" if later else ""))
