"""The one engine that is no engine: it takes connections and never says a whole answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silent_engine(path: Path, *, trickle: bytes = b"", at_once: bytes = b"") -> Iterator[list[bytes]]:
    """What came of each connection. `at_once` is said to each request; `trickle` byte by byte, twenty a second, its last byte
    for ever.
    """
    ending = threading.Event()
    heard: list[bytes] = []
    threads = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(0.05)
                number = len(heard)
                heard.append(b"")
                at = 0
                while not ending.is_set():
                    try:
                        came = connection.recv(65536)
                        heard[number] += came
                        if not came:
                            return
                        connection.sendall(at_once)
                    except TimeoutError:
                        pass
                    except OSError:
                        return
                    if trickle and heard[number]:
                        try:
                            connection.send(trickle[min(at, len(trickle) - 1) :][:1])
                        except OSError:
                            return
                        at += 1

        def accept() -> None:
            while not ending.is_set():
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield heard
        finally:
            ending.set()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            acceptor.join()
            for thread in threads:
                thread.join()
