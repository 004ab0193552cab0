"""Every method of both daemons, called wrongly: which code comes back, and that its details name field, value and remedy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2

from paddock.rpc.errors import DETAILS_KEY, DOMAIN
from paddock.rpc.tokens import TOKEN_KEY
from paddock.wire.v1 import scheduler_service_pb2
from testbed.one_host import OneHost
from tests.cluster import agent_refusals, master_refusals
from tests.cluster.conftest import Background, Command
from tests.cluster.refusals import NOTHING_ASKED, TOOL, Bad, Known, Refusals

NOBODY = 65534
_V1 = "grpc.reflection.v1.ServerReflection"
_V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
# It changes its user itself: where subprocess has to, it forks, and gRPC's handlers for forks may hang.
_FETCH = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as identity:
    identity.connect(sys.argv[1])
    print(identity.makefile().read())
"""
NOTHING_KNOWN = Known(
    agent_id="", container_id="", task_framework_id="", task_id="", framework_id="", subscription_id=""
)


def table(known: Known) -> dict[str, Refusals]:
    """By full name: paddock.wire.v1.DrainService/DrainAgent."""
    ours = master_refusals.table(known) | agent_refusals.table(known)
    return {f"paddock.wire.v1.{name}": refusals for name, refusals in ours.items()} | agent_refusals.of_tools()


METHODS = sorted(table(NOTHING_KNOWN))


def _described(service: str) -> list[str]:
    """Its methods' names. The library's package describes v1alpha only, which is the same."""
    pool = descriptor_pool.Default()
    return [method.name for method in pool.FindServiceByName(_V1ALPHA if service == _V1 else service).methods]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A status, taken apart as a client that knows google.rpc would."""

    code: str
    words: str
    details: tuple[Message, ...]

    def one(self, kind: type[Message]) -> Message:
        (found,) = [detail for detail in self.details if isinstance(detail, kind)]
        return found

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        info = self.one(error_details_pb2.ErrorInfo)
        assert isinstance(info, error_details_pb2.ErrorInfo)
        assert info.domain == DOMAIN
        return info


class Stage:
    """Both daemons with something of root's in each."""

    def __init__(self, host: OneHost) -> None:
        self._host = host
        paths = {name: f"{host.directory}/{name}.sock" for name in ("masterd", "agentd")}
        self._tokens = {(name, uid): _token(path, uid) for name, path in paths.items() for uid in (0, NOBODY)}
        self._channels = {name: grpc.aio.insecure_channel(f"unix:{path}") for name, path in paths.items()}
        self.daemons = {name: host.run(self._methods(name)) for name in paths}

    async def _methods(self, daemon: str) -> set[str]:
        """As it says itself."""
        wanted = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        call = self._method(daemon, f"{_V1ALPHA}/ServerReflectionInfo")(iter([wanted]))
        services = [
            service.name
            async for raw in call
            for service in reflection_pb2.ServerReflectionResponse.FromString(raw).list_services_response.service
        ]
        return {f"{service}/{name}" for service in services for name in _described(service)}

    def _method(self, daemon: str, name: str) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
        """On the wire one call is as the other, however many messages its method has."""
        return self._channels[daemon].stream_stream(f"/{name}")

    def subscribe(self) -> scheduler_service_pb2.SchedulerEvent.Subscribed:
        """As root; the stream stays until the stage goes."""

        async def first() -> scheduler_service_pb2.SchedulerEvent:
            request = scheduler_service_pb2.SubscribeRequest().SerializeToString()
            token = ((TOKEN_KEY, self._tokens["masterd", 0]),)
            subscribe = self._method("masterd", "paddock.wire.v1.SchedulerService/Subscribe")
            self._subscription = subscribe(iter([request]), metadata=token)
            return scheduler_service_pb2.SchedulerEvent.FromString(await anext(aiter(self._subscription)))

        event = self._host.run(first())
        assert event.WhichOneof("event") == "subscribed"
        return event.subscribed

    def call(self, method: str, raw: bytes, uid: int | None = 0) -> list[Refused]:
        """What each daemon that serves it says. `uid` None: without a token."""
        serving = [daemon for daemon, methods in self.daemons.items() if method in methods]
        assert serving, f"nobody serves {method}"
        return [self._refused(daemon, method, raw, uid) for daemon in serving]

    def _refused(self, daemon: str, method: str, raw: bytes, uid: int | None) -> Refused:
        """Where a refusal overtakes the message that is being written, the client's gRPC forgets its words: asked again."""
        tries = (self._host.run(self._refusal(daemon, method, raw, uid)) for _ in range(20))
        return _apart(next(error for error in tries if "Internal error from Core" not in (error.details() or "")))

    async def _refusal(self, daemon: str, method: str, raw: bytes, uid: int | None) -> grpc.aio.AioRpcError:
        metadata = () if uid is None else ((TOKEN_KEY, self._tokens[daemon, uid]),)
        call = self._method(daemon, method)(iter([raw]), metadata=metadata, timeout=30)
        try:
            async for answer in call:
                raise AssertionError(f"{daemon} answers {method}: {answer!r}")
            raise AssertionError(f"{daemon} ends {method} without a word")
        except grpc.aio.AioRpcError as error:
            return error

    def close(self) -> None:
        async def end() -> None:
            for channel in self._channels.values():
                await channel.close()

        self._host.run(end())


def _token(path: str, uid: int) -> str:
    """The kernel's word for another uid needs a process of it."""
    done = subprocess.run(
        [os.path.realpath(sys.executable), "-c", _FETCH, f"{path}.id", str(uid), str(os.stat(path).st_gid)],
        cwd="/", capture_output=True, check=True,
    )  # fmt: skip
    return str(json.loads(done.stdout)["token"])


def _apart(error: grpc.aio.AioRpcError) -> Refused:
    found = [value for key, value in error.trailing_metadata() or () if key == DETAILS_KEY]
    assert len(found) == 1, f"{error.code()} without details: {error.details()}"
    (raw,) = found
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    details = []
    for packed in status.details:
        detail = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(packed.TypeName()))()
        assert packed.Unpack(detail)
        details.append(detail)
    return Refused(code=error.code().name, words=error.details() or "", details=tuple(details))


@pytest.fixture(scope="module")
def stage(cluster: OneHost) -> Iterator[Stage]:
    there = Stage(cluster)
    yield there
    there.close()


@pytest.fixture(scope="module")
def rows(stage: Stage, cluster: OneHost, paddock: Command) -> Iterator[dict[str, Refusals]]:
    process = paddock.start("run", "--name=whose", "--", "/bin/sleep", "1000")
    background = Background(process=process, task_id="")
    try:
        task_id = paddock.task("whose", "running")
        (task,) = json.loads(paddock.text("ps", "-o", "json"))
        subscribed = stage.subscribe()
        yield table(
            Known(
                agent_id=cluster.agent_id,
                container_id=task["container_id"],
                task_framework_id=task["framework_id"],
                task_id=task_id,
                framework_id=subscribed.framework_id,
                subscription_id=subscribed.subscription_id,
            )
        )
    finally:
        background.end()


def test_each_method_that_is_served_has_its_row(stage: Stage) -> None:
    """And none has one that is not: whoever adds a method says here how it refuses."""
    served = stage.daemons["masterd"] | stage.daemons["agentd"]
    assert served == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_value_is_named_with_its_field_and_the_remedy(
    method: str, stage: Stage, rows: dict[str, Refusals]
) -> None:
    case = rows[method].invalid
    if isinstance(case, Bad):
        for refused in stage.call(method, case.request.SerializeToString()):
            assert refused.code == case.code, refused
            assert refused.info.metadata["field"] == case.about
            assert repr(case.value).strip("'\"") in refused.info.metadata["value"]
            told = refused.one(error_details_pb2.BadRequest)
            assert isinstance(told, error_details_pb2.BadRequest)
            (violation,) = told.field_violations
            assert (violation.field, violation.description) == (case.about, refused.info.metadata["remedy"])
            assert violation.description
            assert refused.words.startswith(case.about)
    for refused in stage.call(method, b"\xff\xff"):
        assert (refused.code, refused.info.metadata["field"]) == ("INVALID_ARGUMENT", "request")


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_there_is_named(method: str, stage: Stage, rows: dict[str, Refusals]) -> None:
    case = rows[method].unknown
    if not isinstance(case, Bad):
        return
    for refused in stage.call(method, case.request.SerializeToString()):
        assert (refused.code, refused.info.reason) == ("NOT_FOUND", "NOT_FOUND"), refused
        told = refused.one(error_details_pb2.ResourceInfo)
        assert isinstance(told, error_details_pb2.ResourceInfo)
        assert (told.resource_type, told.resource_name) == (case.about, str(case.value))
        assert told.description == refused.words


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_the_callers_is_refused_with_whose_it_is(
    method: str, stage: Stage, rows: dict[str, Refusals]
) -> None:
    case = rows[method].forbidden
    for refused in stage.call(method, case.request.SerializeToString(), NOBODY) if isinstance(case, Bad) else []:
        assert (refused.code, refused.info.reason) == ("PERMISSION_DENIED", "PERMISSION_REFUSED"), refused
        assert re.search(r"\broot\b|\buid[: ]0\b", refused.words), refused.words
    if case != TOOL:
        for refused in stage.call(method, b"", None):
            assert (refused.code, refused.info.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED"), refused
            assert "identity socket" in refused.words


def test_only_what_asks_for_nothing_is_said_to() -> None:
    pool = descriptor_pool.Default()
    for method, refusals in table(NOTHING_KNOWN).items():
        service, _, name = method.replace(_V1, _V1ALPHA).partition("/")
        fields = pool.FindServiceByName(service).methods_by_name[name].input_type.fields
        assert (NOTHING_ASKED in [refusals.invalid, refusals.unknown]) == (not fields), method
