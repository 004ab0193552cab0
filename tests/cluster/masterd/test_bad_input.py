"""What a real masterd does not believe: malformed calls, garbage, a second master on its state, a wrong configuration."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc.aio import AioRpcError

from paddock.rpc.channel import open_channel
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import offers_pb2, resources_pb2, tasks_pb2
from paddock.wire.v1 import operator_service_pb2 as operator_pb
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1.agent_registry_service_pb2_grpc import AgentRegistryServiceStub
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from tests.cluster.masterd.speakers import task
from tests.cluster.masterd.stage import stage
from tests.masterd_process import MasterdProcess
from tests.ports import free_port


@pytest.mark.parametrize(
    ("operation", "code", "named"),
    [
        (
            offers_pb2.Operation(reserve=offers_pb2.Operation.Reserve()),
            grpc.StatusCode.INVALID_ARGUMENT,
            "operations[0].reserve.resources",
        ),
        (
            offers_pb2.Operation(launch_group=offers_pb2.Operation.LaunchGroup()),
            grpc.StatusCode.UNIMPLEMENTED,
            "operations[0].launch_group",
        ),
        (
            offers_pb2.Operation(launch=offers_pb2.Operation.Launch(tasks=[task("a/b", "a1")])),
            grpc.StatusCode.INVALID_ARGUMENT,
            "task_id",
        ),
        (
            offers_pb2.Operation(
                launch=offers_pb2.Operation.Launch(
                    tasks=[
                        tasks_pb2.TaskInfo(
                            task_id="t",
                            agent_id="a1",
                            resources=[resources_pb2.Resource(name="cpus", scalar_milli=-1)],
                            command=tasks_pb2.CommandInfo(arguments=["x"]),
                        )
                    ]
                )
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "resources[0].scalar_milli",
        ),
    ],
)
async def test_a_malformed_accept_costs_nobody_anything(
    masterd: MasterdProcess, operation: offers_pb2.Operation, code: grpc.StatusCode, named: str
) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework()
        await agent.register()
        await framework.subscribe()
        offer = await framework.offer("a1")
        with pytest.raises(AioRpcError) as caught:
            await framework.stub.Accept(
                scheduler_pb.AcceptRequest(
                    framework_id=framework.framework_id,
                    subscription_id=framework.subscription_id,
                    offer_ids=[offer.offer_id],
                    operations=[operation],
                )
            )
        assert caught.value.code() is code
        assert named in str(caught.value.details())
        await framework.accept(offer, task("t1", "a1"))
        await agent.launched("t1")


@pytest.mark.parametrize(
    "message",
    [
        registry_pb.AgentMessage(pong=registry_pb.AgentPong(sequence=1)),
        registry_pb.AgentMessage(),
        registry_pb.AgentMessage(register=registry_pb.RegisterAgent()),
    ],
)
async def test_an_agent_that_does_not_register_properly_is_shown_the_door(
    masterd: MasterdProcess, message: registry_pb.AgentMessage
) -> None:
    async with stage(masterd) as on:
        stub = AgentRegistryServiceStub(await on.channel())

        async def says() -> AsyncIterator[registry_pb.AgentMessage]:
            yield message

        with pytest.raises(AioRpcError) as caught:
            async for _ in stub.Connect(says()):
                pass
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_garbage_on_the_socket_harms_nobody(masterd: MasterdProcess) -> None:
    for garbage in (b"", b"\0" * 100_000, os.urandom(100_000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(5_000)):
        for path in (masterd.unix_path, Path(f"{masterd.unix_path}.id")):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(path))
                try:
                    connection.sendall(garbage)
                except OSError:
                    pass

    async def still_serves() -> None:
        async with stage(masterd) as on:
            await (await on.operator()).GetMaster(operator_pb.GetMasterRequest())

    asyncio.run(still_serves())


def test_a_second_masterd_on_the_same_state_is_a_clear_error(masterd: MasterdProcess) -> None:
    other = MasterdProcess(masterd.directory)
    other.unix_path = masterd.directory / "other.sock"
    with pytest.raises(AssertionError, match="in use by another masterd"):
        other.start()


def test_every_problem_of_the_configuration_at_once(tmp_path: Path) -> None:
    process = MasterdProcess(
        tmp_path, "--weights=a=0,b", "--alocation-interval=1s", "--listen=nonsense", "--check-config"
    )
    done = subprocess.run(process.command(), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    for words in ("--weights", "did you mean allocation-interval", "--listen"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("trusted", [False, True])
async def test_over_tcp_nobody_is_believed_unless_the_operator_says_so(tmp_path: Path, trusted: bool) -> None:
    address = f"127.0.0.1:{free_port()}"
    flags = (f"--listen=unix:{tmp_path / 'masterd.sock'},{address}", *(("--tcp-uid=0",) if trusted else ()))
    with MasterdProcess(tmp_path, *flags):
        async with open_channel(address) as channel:
            call = OperatorServiceStub(channel).GetMaster(operator_pb.GetMasterRequest())
            if trusted:
                assert (await call).address == address
            else:
                with pytest.raises(AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
