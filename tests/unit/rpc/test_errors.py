"""The one table: down and up again, for every error that can cross."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2

from paddock.model import errors
from paddock.model.errors import PaddockError
from paddock.rpc.channel import open_channel
from paddock.rpc.errors import RemoteError, error_of, remote_errors, status_of
from paddock.wire.v1.operator_service_pb2 import GetMasterRequest, WatchTasksRequest
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub

CROSSING: list[PaddockError] = [
    errors.InvalidRequest("tasks[0].name", "x", "another"),
    errors.Unsupported("task.check", "leave it out"),
    errors.NotFound("task", "t1"),
    errors.AlreadyExists("container", "c1", "choose another id"),
    errors.PermissionRefused("uid 5 may not"),
    errors.Unauthenticated("no token"),
    errors.ResourcesExhausted("cpus: 3 asked, 2 free"),
    errors.Unavailable("starting"),
    errors.TimedOut("too late"),
    errors.OutOfRange(3, "watch from version 0"),
    errors.NotLeading("unix:/run/m2"),
    errors.InvalidTransition("container c1", "running", "Launched"),
    errors.PlanConflict("mount /tmp", "one", "two"),
    errors.ContainerizerError("c1", "cgroup", "write 5 to cpu.shares: no"),
]


def received(error: PaddockError) -> PaddockError:
    status = status_of(error)
    metadata = grpc.aio.Metadata(*status.trailing_metadata)
    return error_of(grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), metadata, details=status.message))


@pytest.mark.parametrize("error", CROSSING, ids=lambda error: type(error).__name__)
def test_an_error_comes_out_as_it_went_in(error: PaddockError) -> None:
    back = received(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_every_foreseen_error_has_a_row_or_never_crosses() -> None:
    known = {type(error) for error in CROSSING}
    # A daemon that has one of these ends or has not begun: no call is answered with it on purpose.
    assert {errors.ConfigError, errors.CheckpointError} == set(PaddockError.__subclasses__()) & {
        kind for kind in vars(errors).values() if isinstance(kind, type)
    } - known


def test_what_has_no_row_is_internal_and_keeps_its_words() -> None:
    back = received(errors.CheckpointError("/state/log", 12, "torn; restore it"))
    assert type(back) is PaddockError
    assert str(back) == "/state/log at byte 12: torn; restore it"


def test_an_endless_message_is_cut_to_what_trailers_carry() -> None:
    status = status_of(errors.InvalidRequest("f" * 5000, "v" * 5000, "é" * 5000))
    assert len(status.message) <= 1500
    assert len(status.details) < 6000


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.CANCELLED, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.TimedOut),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourcesExhausted),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.UNIMPLEMENTED, RemoteError),
        (grpc.StatusCode.UNKNOWN, RemoteError),
    ],
)
def test_grpcs_own_statuses_become_the_nearest_error_and_name_whom_we_asked(
    code: grpc.StatusCode, kind: type[PaddockError]
) -> None:
    error = error_of(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="so"), "agent a1")
    assert type(error) is kind
    assert str(error).startswith("agent a1: so")


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x1a\x02\x0a\x00"])
def test_details_that_are_garbage_are_no_error_of_their_own(details: bytes) -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", details))
    failed = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, details="so")
    assert isinstance(error_of(failed), errors.Unavailable)


async def test_a_call_whose_channel_was_closed_is_unavailable_and_not_a_cancellation() -> None:
    with pytest.raises(errors.Unavailable, match="connection was closed"), remote_errors("agent a1"):
        raise asyncio.CancelledError


async def test_a_call_that_begins_on_a_closed_channel_is_unavailable() -> None:
    channel = open_channel("127.0.0.1:5050")
    stub = OperatorServiceStub(channel)
    await channel.close()
    with pytest.raises(errors.Unavailable, match="agent a1: the connection was closed"), remote_errors("agent a1"):
        await stub.GetMaster(GetMasterRequest())
    with pytest.raises(errors.Unavailable, match="the connection was closed"), remote_errors("agent a1"):
        async for _ in stub.WatchTasks(WatchTasksRequest()):
            pass


async def test_another_wrong_use_of_grpc_is_not_hidden() -> None:
    with pytest.raises(grpc.aio.UsageError, match="two styles"), remote_errors("agent a1"):
        raise grpc.aio.UsageError("two styles")


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    async def wait() -> None:
        with remote_errors():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.InvalidRequest("a.b", "x", "use y"), "BadRequest a.b use y"),
        (errors.Unsupported("task.check", "leave it out"), "BadRequest task.check leave it out"),
        (errors.OutOfRange(3, "watch from 0"), "BadRequest resource_version watch from 0"),
        (errors.NotFound("task", "t1"), "ResourceInfo task t1 task 't1' does not exist"),
        (errors.AlreadyExists("container", "c1", "x"), "ResourceInfo container c1 container 'c1' already exists: x"),
        (errors.Unavailable("starting"), "RetryInfo 1"),
        (errors.NotLeading("unix:/run/m2"), "NotLeader unix:/run/m2"),
        (
            errors.InvalidTransition("container c1", "DONE", "exec"),
            "PreconditionFailure STATE container c1 container c1 in state DONE has no transition for exec",
        ),
        (
            errors.PlanConflict("mount /tmp", "one", "two"),
            (
                "PreconditionFailure ISOLATORS mount /tmp isolators one and two disagree about mount /tmp; "
                "remove one of them from --isolation"
            ),
        ),
        (
            errors.ContainerizerError("c1", "cgroup", "write 5: no"),
            "PreconditionFailure CONTAINERIZER container c1, stage cgroup write 5: no",
        ),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, PaddockError) else "",
)
def test_a_client_that_knows_nothing_of_paddock_is_told_in_its_words(error: PaddockError, told: str) -> None:
    status = status_pb2.Status.FromString(status_of(error).details)
    info, detail = status.details
    assert info.TypeName() == "google.rpc.ErrorInfo"
    message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(detail.TypeName()))()
    assert detail.Unpack(message)
    assert " ".join([type(message).__name__, *_values(message)]) == told


def _values(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        for each in value if field.is_repeated else [value]:
            yield from _values(each) if isinstance(each, Message) else [str(each)]
