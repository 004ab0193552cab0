"""What tools ask before anything else: health, and reflection in both versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from paddock.rpc.channel import open_channel
from tests.unit.rpc.serving import bare_channel, serving

_HEALTH = (health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString)
VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


async def reflected(
    channel: grpc.aio.Channel, version: str, *requests: reflection_pb2.ServerReflectionRequest
) -> list[reflection_pb2.ServerReflectionResponse]:
    async def asked() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        for request in requests:
            yield request

    call: grpc.aio.StreamStreamMultiCallable[
        reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    ] = channel.stream_stream(
        f"/{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in call(asked())]


@pytest.mark.parametrize("version", VERSIONS)
async def test_tools_find_every_service_and_its_messages_without_a_token(tmp_path: Path, version: str) -> None:
    request = reflection_pb2.ServerReflectionRequest
    async with serving(tmp_path), bare_channel(f"unix:{tmp_path}/d.sock") as channel:
        listed, described, absent, itself = await reflected(
            channel,
            version,
            request(list_services=""),
            request(file_containing_symbol="paddock.wire.v1.OperatorService.GetTask"),
            request(file_containing_symbol="no.such.Symbol"),
            request(file_containing_symbol=f"{version}.ServerReflection"),
        )
    assert {service.name for service in listed.list_services_response.service} == {
        "paddock.wire.v1.OperatorService",
        "paddock.wire.v1.ExecService",
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(raw)
        for raw in described.file_descriptor_response.file_descriptor_proto
    ]
    assert {"paddock/wire/v1/operator_service.proto", "paddock/wire/v1/tasks.proto"} <= {file.name for file in files}
    assert absent.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    own = descriptor_pb2.FileDescriptorProto.FromString(itself.file_descriptor_response.file_descriptor_proto[0])
    assert own.package == version
    assert own.service[0].method[0].input_type == f".{version}.ServerReflectionRequest"


async def test_health_tells_the_whole_and_each_service_and_changes(tmp_path: Path) -> None:
    serving_now, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    async with serving(tmp_path) as server, open_channel(f"unix:{tmp_path}/d.sock") as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        check = channel.unary_unary("/grpc.health.v1.Health/Check", *_HEALTH)
        watch: grpc.aio.UnaryStreamMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", *_HEALTH)
        for name in ("", "paddock.wire.v1.OperatorService", "grpc.channelz.v1.Channelz"):
            assert (await check(health_pb2.HealthCheckRequest(service=name))).status == serving_now
        watched = aiter(watch(health_pb2.HealthCheckRequest()))
        assert (await anext(watched)).status == serving_now
        await server.set_serving(serving=False)
        assert (await anext(watched)).status == not_serving
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await check(health_pb2.HealthCheckRequest(service="no.such.Service"))
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        assert failed.value.details() == "service 'no.such.Service' does not exist"
