"""A real HTTP server on the loopback, whose answers a test can hold back."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """`files`: path → content. In the middle what is in `held` waits for `release`, what is in `dripping` goes on byte by byte,
    and `short` closes; `moved` redirects.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if tls else "http"
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.held: set[str] = set()
        self.dripping: set[str] = set()
        self.short: set[str] = set()
        self.release = threading.Event()
        self.asked = threading.Event()
        self.counts: Counter[str] = Counter()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.answer(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)

    @property
    def url(self) -> str:
        port = self.server.server_address[1]
        return f"{self.scheme}://127.0.0.1:{port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        self.counts[path] += 1
        if path in self.moved:
            request.send_response(302)
            request.send_header("Location", self.moved[path])
            request.end_headers()
            return
        content = self.files.get(path)
        if content is None:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.wfile.flush()
        self.asked.set()
        if path in self.held:
            self.release.wait(60)
        if path not in self.short:
            try:
                rest = content[len(content) // 2 :]
                while path in self.dripping and rest:
                    request.wfile.write(rest[:1])
                    rest = rest[1:]
                    self.release.wait(0.05)
                request.wfile.write(rest)
            except OSError:
                pass  # its client was killed: that is what some tests are about


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    web = WebServer(tls)
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        web.release.set()
        web.server.shutdown()
        thread.join()
        web.server.server_close()
