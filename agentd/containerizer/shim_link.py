"""The agent's connection to one shim: questions with answers, and what the shim says by itself. No thread, no blocking."""

from __future__ import annotations

import array
import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from paddock.kernel import brief_calls
from paddock.kernel.brief_calls import Receiver
from paddock.launch import protocol, report
from paddock.model.errors import Unavailable
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)
_NO_BUFFERS = frozenset({errno.EAGAIN, errno.ENOBUFS})

Message = dict[str, object]


class ShimLink:
    """`on_event(link, message)` for each of the shim's events; `on_end(link)` once, when the shim has closed or died."""

    def __init__(
        self,
        container_id: ContainerId,
        connection: socket.socket,
        on_event: Callable[[ShimLink, Message], None],
        on_end: Callable[[ShimLink], None],
        receiver: Receiver,
    ) -> None:
        """Owns the connection, a SEQPACKET socket. `receiver`: one for all links."""
        self.container_id = container_id
        self._connection = connection
        # By number: asked about one that it does not know, a selector writes the socket out in full for its own exception.
        self._fd = connection.fileno()
        self._receiver = receiver
        self._on_event = on_event
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._last_seq = 0
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._is_blocked = False
        self._closed = False
        connection.setblocking(False)
        self._loop.add_reader(self._fd, self._readable)

    @property
    def is_closed(self) -> bool:
        """Nothing more can be said."""
        return self._closed

    def tell(self, op: str, **fields: object) -> None:
        """Say it; whatever the answer is, nobody waits for it. On a closed connection it is lost."""
        self._last_seq += 1
        self._send({"op": op, "seq": self._last_seq, **fields}, ())

    async def ask(self, op: str, *, fds: Sequence[int] = (), **fields: object) -> Message:
        """The answer. Raises Unavailable when the shim ends first."""
        self._last_seq += 1
        seq = self._last_seq
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[seq] = answer
        try:
            self._send({"op": op, "seq": seq, **fields}, fds)
            if self._closed:
                raise self._gone()
            return await answer
        finally:
            self._answers.pop(seq, None)

    def close(self) -> None:
        """The container lives on; `on_end` is not called."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            self._unblock()
            brief_calls.close(self._connection.detach())
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(self._gone())

    def _gone(self) -> Unavailable:
        return Unavailable(f"the supervisor of container {self.container_id} has ended")

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        if self._closed:
            return
        self._unsent.append((protocol.encode(message), tuple(fds)))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            content, fds = self._unsent[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                self._connection.sendmsg([content], rights, socket.MSG_NOSIGNAL)
            except OSError as error:
                if error.errno in _NO_BUFFERS:
                    self._is_blocked = True
                    self._loop.add_writer(self._fd, self._flush)
                    return
                self._unsent.clear()  # the end of the connection is read, and told, elsewhere
                return
            self._unsent.popleft()
        self._unblock()

    def _unblock(self) -> None:
        if self._is_blocked:
            self._is_blocked = False
            self._loop.remove_writer(self._fd)

    def _readable(self) -> None:
        # One message at a time: where there are more, the loop comes back at once, and mostly there are none.
        try:
            content = self._receiver.receive(self._fd)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if content:
            self._received(content)
        else:
            self.close()
            self._on_end(self)

    def _received(self, content: bytes) -> None:
        try:
            message = report.decode_message(content)
        except protocol.ProtocolError as error:
            _log.warning("shim said what is no message", extra={"container_id": self.container_id, "error": str(error)})
            return
        seq = message.get("seq")
        if "event" in message:
            self._on_event(self, message)
        elif isinstance(seq, int) and (answer := self._answers.get(seq)) is not None and not answer.done():
            answer.set_result(message)
        elif "error" in message:
            extra = {"container_id": self.container_id, "answer": message}
            _log.warning("shim refused", extra=extra)
