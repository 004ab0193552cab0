"""The server and the channel together, on real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from paddock.model.errors import (
    AlreadyExists,
    ConfigError,
    InvalidRequest,
    NotFound,
    NotLeading,
    PaddockError,
    ResourcesExhausted,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from paddock.rpc.address import PATH_LIMIT_BYTES
from paddock.rpc.channel import open_channel
from paddock.rpc.errors import remote_errors
from paddock.rpc.identity import identity_path
from paddock.rpc.server import RpcServer
from paddock.rpc.tokens import TokenIssuer
from paddock.wire.v1.exec_service_pb2 import ExecRequest, ExecResponse
from paddock.wire.v1.exec_service_pb2_grpc import ExecServiceStub
from paddock.wire.v1.operator_service_pb2 import (
    GetMasterRequest,
    GetTaskRequest,
    ListAgentsRequest,
    WatchTasksRequest,
)
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from tests.http2 import ACK, HELLO, PING, connect, frame, heard_until, pour
from tests.unit.rpc.serving import ENDED, bare_channel, serving

ME = f"uid:{os.geteuid()}"
WAIT_S = 30.0
CROWD_COUNT, ROOM_COUNT = 1_500, 500
"""Calls at once, and of these on one connection."""


def tcp_channel(server: RpcServer) -> grpc.aio.Channel:
    return open_channel(f"127.0.0.1:{server.tcp_port}")


async def test_the_services_learn_the_callers_uid_in_every_kind_of_call(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        operator = OperatorServiceStub(channel)
        assert (await operator.GetMaster(GetMasterRequest())).master_id == ME
        stream = aiter(operator.WatchTasks(WatchTasksRequest()))
        assert (await anext(stream)).resource_version == 1
        assert (await anext(stream)).task.role == ME
        with pytest.raises(NotFound), remote_errors():
            await anext(stream)

        async def words() -> AsyncIterator[ExecRequest]:
            yield ExecRequest(stdin=b"one")
            yield ExecRequest(stdin=b"two")

        heard = [answer.stdout async for answer in ExecServiceStub(channel).Exec(words())]
        assert heard == [f"{ME} one".encode(), f"{ME} two".encode()]


async def test_a_bidirectional_stream_can_be_written_and_read_in_turns(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        call = ExecServiceStub(channel).Exec()
        for word in (b"one", b"two"):
            await call.write(ExecRequest(stdin=word))
            answer = await call.read()
            assert isinstance(answer, ExecResponse)
            assert answer.stdout == f"{ME} ".encode() + word
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_the_same_error_comes_out_at_the_client(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        operator = OperatorServiceStub(channel)
        with pytest.raises(InvalidRequest) as invalid, remote_errors():
            await operator.GetTask(GetTaskRequest(task_id="invalid"))
        assert invalid.value.field == "tasks[0].task_id"
        assert invalid.value.remedy == "leave out the slash"
        assert str(invalid.value) == "tasks[0].task_id: 'a/b' is not accepted: leave out the slash"
        with pytest.raises(NotFound) as missing, remote_errors():
            await operator.GetTask(GetTaskRequest(task_id="missing"))
        assert (missing.value.kind, missing.value.name) == ("task", "t1")
        with pytest.raises(NotLeading) as follower, remote_errors():
            await operator.GetTask(GetTaskRequest(task_id="follower"))
        assert follower.value.leader_address == "unix:/run/other.sock"


async def test_foreign_tools_find_the_standard_details(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await OperatorServiceStub(channel).GetTask(GetTaskRequest(task_id="invalid"))
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(dict(failed.value.trailing_metadata())["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.domain, info.reason) == ("paddock", "INVALID_REQUEST")
    assert bad.field_violations[0].field == "tasks[0].task_id"


async def test_a_defect_is_logged_whole_and_told_by_its_incident(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        with (
            pytest.raises(PaddockError, match=r"a defect \(ZeroDivisionError\).*incident [0-9a-f]{12}"),
            remote_errors(),
        ):
            await OperatorServiceStub(channel).GetTask(GetTaskRequest(task_id="defect"))
    record = next(record for record in caplog.records if record.message == "a served call met a defect")
    assert record.exc_info is not None


async def test_no_call_is_refused_however_many_wait_to_be_taken(tmp_path: Path) -> None:
    """gRPC's own number is 1,000, and what is more it ends by chance: of these it ended some sixty."""
    async with serving(tmp_path, tcp_address="127.0.0.1:0", tcp_uid=0) as server, AsyncExitStack() as stack:
        operators = [
            OperatorServiceStub(await stack.enter_async_context(bare_channel(f"127.0.0.1:{server.tcp_port}")))
            for _ in range(CROWD_COUNT // ROOM_COUNT)
        ]
        await asyncio.gather(*(each.ListAgents(ListAgentsRequest()) for each in operators))
        calls = [operators[number % len(operators)].ListAgents(ListAgentsRequest()) for number in range(CROWD_COUNT)]
        # They are sent in the loop's next turn, and arrive while it takes none.
        await asyncio.sleep(0)
        time.sleep(0.2)
        assert len(await asyncio.gather(*calls)) == CROWD_COUNT


async def test_without_a_token_nothing_is_served_but_health_and_reflection(tmp_path: Path) -> None:
    async with serving(tmp_path), bare_channel(f"unix:{tmp_path}/d.sock") as channel:
        with pytest.raises(Unauthenticated, match="identity socket"), remote_errors():
            await OperatorServiceStub(channel).GetMaster(GetMasterRequest())
        with pytest.raises(Unauthenticated), remote_errors():
            async for _ in OperatorServiceStub(channel).WatchTasks(WatchTasksRequest()):
                pass


@pytest.mark.parametrize("token", ["", "1.0.99999999999.00", "garbage", "1.0", "é", "1" * 5000])
async def test_a_forged_token_is_refused(tmp_path: Path, token: str) -> None:
    async with serving(tmp_path), bare_channel(f"unix:{tmp_path}/d.sock") as channel:
        metadata = (("paddock-token", token),) if token.isascii() else (("paddock-token", "%C3%A9"),)
        with pytest.raises(Unauthenticated), remote_errors():
            await OperatorServiceStub(channel).GetMaster(GetMasterRequest(), metadata=metadata)


async def test_callers_at_the_same_time_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    issuer = TokenIssuer()
    async with serving(tmp_path, issuer=issuer), bare_channel(f"unix:{tmp_path}/d.sock") as channel:
        operator = OperatorServiceStub(channel)

        async def ask(uid: int) -> str:
            metadata = (("paddock-token", issuer.issue(uid)),)
            return (await operator.GetMaster(GetMasterRequest(), metadata=metadata)).master_id

        assert await asyncio.gather(*(ask(uid) for uid in range(100))) == [f"uid:{uid}" for uid in range(100)]


async def test_a_token_of_an_earlier_process_is_replaced_by_itself(tmp_path: Path) -> None:
    async with open_channel(f"unix:{tmp_path}/d.sock") as channel:
        operator = OperatorServiceStub(channel)
        for _ in range(2):
            async with serving(tmp_path):
                assert (await operator.GetMaster(GetMasterRequest(), wait_for_ready=True)).master_id == ME


async def test_an_expired_token_is_refused_and_names_its_lifetime(tmp_path: Path) -> None:
    now_s = 1000.0
    issuer = TokenIssuer(lifetime_s=300, monotonic_s=lambda: now_s)
    token = issuer.issue(7)
    assert issuer.verify(token).uid == 7
    now_s += 299.0
    assert issuer.verify(token).uid == 7
    now_s += 1.0
    with pytest.raises(Unauthenticated, match="300 s"):
        issuer.verify(token)


async def test_over_tcp_a_token_is_needed_unless_the_operator_trusts_the_network(tmp_path: Path) -> None:
    async with serving(tmp_path, tcp_address="127.0.0.1:0") as server, tcp_channel(server) as channel:
        with pytest.raises(Unauthenticated), remote_errors():
            await OperatorServiceStub(channel).GetMaster(GetMasterRequest())
    async with serving(tmp_path, tcp_address="127.0.0.1:0", tcp_uid=65534) as server, tcp_channel(server) as channel:
        assert (await OperatorServiceStub(channel).GetMaster(GetMasterRequest())).master_id == "uid:65534"


async def test_the_sockets_are_for_owner_and_group_only_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    async with serving(tmp_path):
        for each in (path, Path(identity_path(str(path)))):
            assert stat.S_IMODE(each.stat().st_mode) == 0o660
    assert list(tmp_path.iterdir()) == []


async def test_a_living_daemons_socket_is_not_taken(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(AlreadyExists, match="another daemon answers"):
            async with serving(tmp_path):
                pass
        async with open_channel(f"unix:{tmp_path}/d.sock") as channel:
            assert (await OperatorServiceStub(channel).GetMaster(GetMasterRequest())).master_id == ME


async def test_a_dead_daemons_socket_is_replaced(tmp_path: Path) -> None:
    for name in ("d.sock", "d.sock.id"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        assert (await OperatorServiceStub(channel).GetMaster(GetMasterRequest())).master_id == ME


async def test_a_file_at_the_sockets_path_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "d.sock").write_text("precious")
    with pytest.raises(ConfigError, match="something else is there"):
        async with serving(tmp_path):
            pass
    assert (tmp_path / "d.sock").read_text() == "precious"


async def test_the_socket_beside_a_long_path_is_too_long_itself_and_nothing_is_left() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        name = "x" * (PATH_LIMIT_BYTES - len("/d.sock") - len(short) - 1)
        directory = Path(short, name)
        directory.mkdir()
        with pytest.raises(ConfigError, match=r"socket /tmp/.*x/d\.sock\.id: .* at most 107 bytes, not 110"):
            async with serving(directory):
                pass
        assert list(directory.iterdir()) == []


async def test_two_daemons_on_one_port_is_an_error_of_the_second(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    async with serving(tmp_path, tcp_address="127.0.0.1:0") as first:
        with pytest.raises(ConfigError, match="another process"):
            async with serving(tmp_path / "b", tcp_address=f"127.0.0.1:{first.tcp_port}"):
                pass
    assert not list((tmp_path / "b").iterdir())


async def test_an_absent_daemon_is_named_with_its_address(tmp_path: Path) -> None:
    async with open_channel(f"unix:{tmp_path}/none.sock") as channel:
        with pytest.raises(Unavailable, match=r"none\.sock.*is the daemon running"):
            await OperatorServiceStub(channel).GetMaster(GetMasterRequest())


async def test_a_deadline_ends_the_wait_for_a_hung_daemon(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        with pytest.raises(TimedOut), remote_errors("master"):
            await OperatorServiceStub(channel).GetTask(GetTaskRequest(task_id="hang"), timeout=0.1)


async def test_a_call_without_a_deadline_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paddock.rpc.channel.DEFAULT_DEADLINE_S", 0.1)
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        with pytest.raises(TimedOut), remote_errors():
            await OperatorServiceStub(channel).GetTask(GetTaskRequest(task_id="hang"))


async def test_an_oversize_request_is_refused_and_the_server_lives(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        operator = OperatorServiceStub(channel)
        with pytest.raises(ResourcesExhausted), remote_errors():
            await operator.GetTask(GetTaskRequest(task_id="x" * 5_000_000))
        assert (await operator.GetMaster(GetMasterRequest())).master_id == ME


async def test_bytes_that_are_no_message_are_the_callers_mistake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/paddock.wire.v1.OperatorService/GetTask"
        )
        with pytest.raises(InvalidRequest, match="no message of this method"), remote_errors():
            await unary(b"\xff\xff\xff\xff")
        streaming: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/paddock.wire.v1.ExecService/Exec"
        )
        with pytest.raises(InvalidRequest), remote_errors():
            async for _ in streaming(iter([ExecRequest(stdin=b"x").SerializeToString(), b"\x0a\xff"])):
                pass
    # Not grpc.aio's own, which may still be handing an earlier test's event to that test's closed loop.
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert not [message for message in errors if "PollerCompletionQueue" not in message]


async def test_an_unknown_method_and_service_are_unimplemented(tmp_path: Path) -> None:
    async with serving(tmp_path), open_channel(f"unix:{tmp_path}/d.sock") as channel:
        for method in ("/paddock.wire.v1.OperatorService/Nothing", "/no.such.Service/Method"):
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(b"")
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "noise",
    [
        b"\0" * 4096,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        # The preface, empty settings, then a HEADERS frame whose 100 bytes never come.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\x64\1\4\0\0\0\1",
    ],
)
@pytest.mark.parametrize("name", ["d.sock", "d.sock.id"])
async def test_garbage_and_truncated_streams_leave_the_server_serving(tmp_path: Path, noise: bytes, name: str) -> None:
    async with serving(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / name))
        writer.write(noise)
        writer.write_eof()
        try:
            async with asyncio.timeout(5):
                await reader.read()
        except (ConnectionError, TimeoutError):
            pass
        writer.close()
        async with open_channel(f"unix:{tmp_path}/d.sock") as channel:
            assert (await OperatorServiceStub(channel).GetMaster(GetMasterRequest())).master_id == ME


async def test_a_caller_that_goes_away_ends_its_stream_at_the_service_too(tmp_path: Path) -> None:
    async with serving(tmp_path):
        ENDED.clear()
        async with open_channel(f"unix:{tmp_path}/d.sock") as channel:
            call = ExecServiceStub(channel).Exec()
            await call.write(ExecRequest(stdin=b"one"))
            await call.read()
            call.cancel()
        async with asyncio.timeout(60):
            while not ENDED:
                await asyncio.sleep(0.01)


async def test_no_caller_is_sent_away_for_its_pings(tmp_path: Path) -> None:
    """One after the other, as a client sends them that measures its connection, and without a call."""
    async with serving(tmp_path):
        with connect(f"unix:{tmp_path}/d.sock") as pinging:
            pinging.sendall(HELLO)
            for number in range(100):
                pinging.sendall(frame(PING, 0, 0, b"%08d" % number))
                answer = frame(PING, ACK, 0, b"%08d" % number)
                heard = await asyncio.to_thread(heard_until, pinging, answer)
                assert answer in heard, f"ping {number}: {heard!r}"


async def test_a_caller_who_reads_nothing_does_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    """gRPC by itself waits for as long as that caller is there: the daemon would have to be killed."""
    async with serving(tmp_path) as server:
        with connect(f"unix:{tmp_path}/d.sock") as deaf:
            deaf.sendall(HELLO)
            taken_all = await asyncio.to_thread(pour, deaf, frame(PING, 0, 0, b"12345678") * 1_000, 10_000)
            assert not taken_all, "the server's answers fill the socket, and it reads no further"
            async with asyncio.timeout(WAIT_S):
                await server.stop(grace_s=0)
