"""Server reflection as v1 and v1alpha: newer tools ask the one, older tools the other, with the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

ALPHA_SERVICE_NAME: str = reflection.SERVICE_NAME
SERVICE_NAME = "grpc.reflection.v1.ServerReflection"

_ALPHA_PACKAGE = "grpc.reflection.v1alpha"
_PACKAGE = "grpc.reflection.v1"
_FILE = "grpc/reflection/v1/reflection.proto"


def register(server: grpc.aio.Server, service_names: Sequence[str]) -> None:
    """Serve both, listing these services. Before the server starts."""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer(service_names, pool=cast("descriptor_pool.DescriptorPool", _Symbols()))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    # grpcio-reflection has v1alpha only. The two versions differ in their package's name and in nothing on the wire.
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(SERVICE_NAME, {"ServerReflectionInfo": handler})
    server.add_generic_rpc_handlers((handlers,))


class _Symbols:
    """The default pool, which also finds a method by its full name: the protocol has that, protobuf's C pool has not."""

    def __init__(self) -> None:
        pool = descriptor_pool.Default()
        self._pool = pool
        # The names are those that grpcio-reflection calls.
        self.FindFileByName = pool.FindFileByName
        self.FindMessageTypeByName = pool.FindMessageTypeByName
        self.FindExtensionByNumber = pool.FindExtensionByNumber
        self.FindAllExtensions = pool.FindAllExtensions

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - as above
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            found = self._pool.FindServiceByName(service)
            if method not in found.methods_by_name:
                raise
            return found.file


def _describe_v1() -> None:
    """Put v1's own description into the pool, so that a tool may ask for it by name."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_FILE)
    except KeyError:
        pass
    else:
        return
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = _FILE
    file.package = _PACKAGE
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(f".{_ALPHA_PACKAGE}.", f".{_PACKAGE}.")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{_ALPHA_PACKAGE}.", f".{_PACKAGE}.")
            method.output_type = method.output_type.replace(f".{_ALPHA_PACKAGE}.", f".{_PACKAGE}.")
    pool.AddSerializedFile(file.SerializeToString())
