"""What grpcurl does, by reflection alone: `list`, `describe NAME`, `SERVICE/METHOD`; the same words, the same JSON out.

grpcurl itself comes from no package registry. This knows nothing of our generated code: only what the server tells.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="grpcurl", allow_abbrev=False)
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-unix", action="store_true", required=True)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="document", default="{}")
    parser.add_argument("socket")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args(arguments)
    with grpc.insecure_channel(f"unix:{options.socket}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        match options.words:
            case ["list"]:
                print("\n".join(sorted(database.get_services())))
            case ["describe", name]:
                service = pool.FindServiceByName(name)
                print("\n".join(f"rpc {method.name}" for method in service.methods))
            case [path]:
                metadata = tuple(
                    (name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in options.headers)
                )
                print(call(channel, pool, path, options.document, metadata))
            case _:
                parser.error("list, describe NAME or SERVICE/METHOD")
    return 0


def call(
    channel: grpc.Channel, pool: DescriptorPool, path: str, document: str, metadata: tuple[tuple[str, str], ...]
) -> str:
    service, _, name = path.partition("/")
    method = pool.FindServiceByName(service).FindMethodByName(name)
    request = json_format.Parse(document, GetMessageClass(method.input_type)(), descriptor_pool=pool)
    answer_class = GetMessageClass(method.output_type)
    invoke: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
        f"/{path}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer_class.FromString,
    )
    answer = invoke(request, timeout=30, metadata=metadata)
    return json_format.MessageToJson(answer, descriptor_pool=pool)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
