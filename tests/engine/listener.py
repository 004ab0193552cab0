"""Between an engine and who asks it: hears what is asked; may hold an answer back until something has happened, or lose it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.engine.engine import PATIENCE_S, Engine

_PORTION_BYTES = 65_536


class Listener:
    """`path`: where it is asked instead of the engine. One request for each connection, as stand-ins ask."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._engine = engine
        self._delays: dict[str, Callable[[], None]] = {}
        self._losses: dict[str, bool] = {}
        self._threads: list[threading.Thread] = []
        self._server = socket.socket(socket.AF_UNIX)

    def delay(self, ending: str, until: Callable[[], None]) -> None:
        """Answers to paths that end so are held back until this returns."""
        self._delays[ending] = until

    def lose(self, ending: str, *, answer: bool) -> None:
        """Of the next request whose path ends so the connection breaks: before the engine has heard it, or (`answer`) when it
        has answered.
        """
        self._losses[ending] = answer

    def __enter__(self) -> Self:
        self._server.bind(str(self.path))
        self._server.listen()
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                asker, _ = self._server.accept()
            except OSError:
                return
            self._begin(lambda asker=asker: self._pass_on(asker))  # type: ignore[misc]

    def _pass_on(self, asker: socket.socket) -> None:
        """Until one of both has gone, at whatever moment."""
        with suppress(OSError), asker, socket.socket(socket.AF_UNIX) as engine:
            request = asker.recv(_PORTION_BYTES)
            if not request:
                return
            path = request.split(b" ", 2)[1].decode()
            self.heard.append(path)
            loss = next((self._losses.pop(ending) for ending in tuple(self._losses) if path.endswith(ending)), None)
            if loss is False:
                return
            engine.connect(str(self._engine.socket))
            engine.sendall(request)
            while answer := engine.recv(_PORTION_BYTES):
                for ending, until in self._delays.items():
                    if path.endswith(ending):
                        until()
                if loss:
                    return
                asker.sendall(answer)
