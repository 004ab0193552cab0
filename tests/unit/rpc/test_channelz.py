"""gRPC's own books, served by grpc.aio: who is connected, what they call, and to whom they are not shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from grpc_channelz.v1 import channelz_pb2 as pb
from grpc_channelz.v1 import channelz_pb2_grpc

from paddock.model.errors import NotFound, PermissionRefused, Unauthenticated
from paddock.rpc.channel import open_channel
from paddock.rpc.errors import remote_errors
from paddock.wire.v1.operator_service_pb2 import GetMasterRequest
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from tests.unit.rpc.serving import bare_channel, serving


async def test_the_server_its_connections_and_their_calls_are_told(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/d.sock"
    async with serving(tmp_path, tcp_address="127.0.0.1:0"), open_channel(address) as channel:
        for _ in range(3):
            await OperatorServiceStub(channel).GetMaster(GetMasterRequest())
        books = channelz_pb2_grpc.ChannelzStub(channel)
        servers = (await books.GetServers(pb.GetServersRequest())).server
        (server,) = [each for each in servers if any(address in socket.name for socket in each.listen_socket)]
        assert {socket.name.split()[-1].partition(":")[0] for socket in server.listen_socket} == {"unix", "ipv4"}
        (connection,) = (
            await books.GetServerSockets(pb.GetServerSocketsRequest(server_id=server.ref.server_id))
        ).socket_ref
        socket = (await books.GetSocket(pb.GetSocketRequest(socket_id=connection.socket_id))).socket
        assert socket.data.streams_succeeded >= 3
        # This process is the client too: its own channel is in the books.
        opened = (await books.GetTopChannels(pb.GetTopChannelsRequest())).channel
        assert address in {each.data.target for each in opened}


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetServer", pb.GetServerRequest(server_id=987_654)),
        ("GetServerSockets", pb.GetServerSocketsRequest(server_id=987_654, start_socket_id=1)),
        ("GetSocket", pb.GetSocketRequest(socket_id=987_654)),
        ("GetChannel", pb.GetChannelRequest(channel_id=987_654)),
        ("GetSubchannel", pb.GetSubchannelRequest(subchannel_id=987_654)),
    ],
)
async def test_what_is_not_there_is_named_with_details(tmp_path: Path, method: str, request_: object) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        with pytest.raises(NotFound, match="'987654' does not exist") as caught, remote_errors():
            await getattr(channelz_pb2_grpc.ChannelzStub(channel), method)(request_)
        assert (
            caught.value.kind
            == method.removeprefix("Get").removesuffix("Sockets" if "Sockets" in method else "").lower()
        )


async def test_they_are_the_owners_and_roots_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, tcp_address="127.0.0.1:0", tcp_uid=65534) as server:
        request = pb.GetServersRequest()
        async with bare_channel(f"unix:{tmp_path}/d.sock") as channel:
            with pytest.raises(Unauthenticated), remote_errors():
                await channelz_pb2_grpc.ChannelzStub(channel).GetServers(request)
        async with bare_channel(f"127.0.0.1:{server.tcp_port}") as channel:
            books = channelz_pb2_grpc.ChannelzStub(channel)
            with pytest.raises(PermissionRefused, match="uid 65534 may not read gRPC's books"), remote_errors():
                await books.GetServers(request)
            monkeypatch.setattr(os, "geteuid", lambda: 65534)
            assert (await books.GetServers(request)).server
