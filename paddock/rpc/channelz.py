"""grpc.channelz.v1: gRPC's own books on this process: its server and each connection to it, each channel that it opened.

They are kept by gRPC's core, so they are the same whatever lies above it. Who calls from where is nobody's business but the
process' owner's and root's.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import cast

import grpc.aio
from google.protobuf.message import Message
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc

from paddock.model.errors import NotFound, PaddockError
from paddock.rpc.principal import OwnUidOnly, current_principal

_SERVICE = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]
SERVICE_NAME: str = _SERVICE.full_name

_Answer = Callable[[Message, object], Awaitable[Message | None]]


def register(server: grpc.aio.Server) -> None:
    """Before the server starts."""
    library = channelz.aio.ChannelzServicer
    servicer = channelz_pb2_grpc.ChannelzServicer()
    for method in _SERVICE.methods:
        setattr(servicer, method.name, _guarded(cast("_Answer", getattr(library, method.name))))
    channelz_pb2_grpc.add_ChannelzServicer_to_server(servicer, server)


def _guarded(ask: _Answer) -> _Answer:
    async def answer(request: Message, _context: object) -> Message:
        OwnUidOnly().authorize(current_principal(), "read gRPC's books", os.geteuid())
        said = _Said()
        answered = await ask(request, said)
        if answered is not None:
            return answered
        if said.code is not grpc.StatusCode.NOT_FOUND:
            raise PaddockError(f"gRPC's books cannot be read: {said.words}")
        # Each of these requests names what it asks about first.
        field = request.DESCRIPTOR.fields_by_number[1].name
        raise NotFound(field.removesuffix("_id"), str(getattr(request, field)))

    return answer


class _Said:
    """The library's way to refuse: in place of the call, which is to carry details as every other one."""

    code: grpc.StatusCode | None = None
    words = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Why not."""
        self.code = code

    def set_details(self, words: str) -> None:
        """In words."""
        self.words = words
