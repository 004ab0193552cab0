"""How each method of agentd refuses, and what both daemons serve for tools."""

from __future__ import annotations

from google.protobuf.message import Message
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2

from paddock.wire.v1 import (
    agent_task_service_pb2,
    container_service_pb2,
    containers_pb2,
    exec_service_pb2,
    resources_pb2,
    sandbox_service_pb2,
    tasks_pb2,
)
from tests.cluster.refusals import (
    FAR,
    IN_STREAM,
    NO_SUCH,
    NOTHING_ASKED,
    NOTHING_NAMED,
    OWN_ONLY,
    TOOL,
    Bad,
    Known,
    Refusals,
    page,
)


def table(known: Known) -> dict[str, Refusals]:
    """By service and method."""
    pb, box = container_service_pb2, sandbox_service_pb2

    def id_of(value: str) -> containers_pb2.ContainerId:
        return containers_pb2.ContainerId(value=value)

    def of_container(
        kind: type[Message], *, about: str = "container_id.value", value: object = "../x", **more: object
    ) -> Refusals:
        bad = (
            {**more, "container_id": id_of("../x")}
            if about == "container_id.value"
            else {
                **more,
                "container_id": id_of(known.container_id),
                about: value,
            }
        )
        return Refusals(
            invalid=Bad(request=kind(**bad), about=about, value=value),
            unknown=Bad(request=kind(container_id=id_of(NO_SUCH), **more), about="container", value=NO_SUCH),
            forbidden=Bad(request=kind(container_id=id_of(known.container_id), **more)),
        )  # fmt: skip

    def launch(user: str, cpus_milli: int) -> pb.LaunchContainerRequest:
        return pb.LaunchContainerRequest(
            command=tasks_pb2.CommandInfo(arguments=["/bin/true"], user=user),
            resources=[resources_pb2.Resource(name="cpus", scalar_milli=cpus_milli)],
        )

    def enter(container_id: str) -> exec_service_pb2.ExecRequest:
        command = tasks_pb2.CommandInfo(arguments=["/bin/true"])
        return exec_service_pb2.ExecRequest(
            start=exec_service_pb2.ExecStart(container_id=id_of(container_id), command=command)
        )

    cpus = [resources_pb2.Resource(name="cpus", scalar_milli=100)]
    return {
        "ContainerService/LaunchContainer": Refusals(
            invalid=Bad(request=launch("", -1), about="resources[0].scalar_milli", value=-1),
            unknown="the user that it names is a wrong value where there is none of that name",
            forbidden=Bad(request=launch("root", 100)),
        ),
        "ContainerService/KillContainer": of_container(pb.KillContainerRequest),
        "ContainerService/WaitContainer": of_container(pb.WaitContainerRequest),
        "ContainerService/GetContainer": of_container(pb.GetContainerRequest),
        "ContainerService/UpdateContainer": of_container(pb.UpdateContainerRequest, resources=cpus, validate_only=True),
        "ContainerService/ListEffectiveLimits": of_container(pb.ListEffectiveLimitsRequest),
        "ContainerService/ListContainers": page(pb.ListContainersRequest(page_size=-1), forbidden=OWN_ONLY),
        "ContainerService/WatchContainers": Refusals(
            invalid=Bad(
                request=pb.WatchContainersRequest(resource_version=FAR),
                about="resource_version",
                value=FAR,
                code="OUT_OF_RANGE",
            ),
            unknown=NOTHING_NAMED,
            forbidden=OWN_ONLY,
        ),
        "ContainerService/ListStatistics": Refusals(
            invalid=Bad(
                request=pb.ListStatisticsRequest(container_ids=[id_of("../x")]),
                about="container_ids[0].value",
                value="../x",
            ),
            unknown=Bad(
                request=pb.ListStatisticsRequest(container_ids=[id_of(NO_SUCH)]), about="container", value=NO_SUCH
            ),
            forbidden=Bad(request=pb.ListStatisticsRequest(container_ids=[id_of(known.container_id)])),
        ),
        "ExecService/Exec": Refusals(
            invalid=Bad(request=enter("../x"), about="start.container_id.value", value="../x"),
            unknown=Bad(request=enter(NO_SUCH), about="container", value=NO_SUCH),
            forbidden=Bad(request=enter(known.container_id)),
        ),
        "SandboxService/ListFiles": of_container(box.ListFilesRequest, about="page_size", value=-1),
        "SandboxService/ReadFile": of_container(box.ReadFileRequest, about="length_bytes", value=2**31, path="stdout"),
        "SandboxService/FollowFile": of_container(box.FollowFileRequest, about="path", value="../x"),
        "SandboxService/FollowLog": Refusals(
            invalid=Bad(request=box.FollowLogRequest(container_id=id_of(known.container_id)), about="stream", value=0),
            unknown=Bad(
                request=box.FollowLogRequest(container_id=id_of(NO_SUCH), stream=box.LOG_STREAM_STDOUT),
                about="container",
                value=NO_SUCH,
            ),
            forbidden=Bad(
                request=box.FollowLogRequest(container_id=id_of(known.container_id), stream=box.LOG_STREAM_STDOUT)
            ),
        ),
        "AgentTaskService/ListTasks": page(
            agent_task_service_pb2.ListAgentTasksRequest(page_size=-1), forbidden=OWN_ONLY
        ),
        "AgentTaskService/WatchTasks": Refusals(
            invalid=Bad(
                request=agent_task_service_pb2.WatchAgentTasksRequest(resource_version=1),
                about="resource_version",
                value=1,
                code="OUT_OF_RANGE",
            ),
            unknown=NOTHING_NAMED,
            forbidden=OWN_ONLY,
        ),
    }


def of_tools() -> dict[str, Refusals]:
    """By full names."""
    in_stream = Refusals(invalid=IN_STREAM, unknown=IN_STREAM, forbidden=TOOL)

    def book(kind: type[Message], field: str) -> Refusals:
        return Refusals(
            invalid="any number may be one",
            unknown=Bad(request=kind(**{field: FAR}), about=field.removesuffix("_id"), value=FAR),
            forbidden=Bad(request=kind(**{field: 1})),
        )

    def books(kind: type[Message]) -> Refusals:
        return Refusals(invalid="any number may be one", unknown=NOTHING_NAMED, forbidden=Bad(request=kind()))

    pb = channelz_pb2
    return {
        "grpc.health.v1.Health/Check": Refusals(
            invalid="any text may be a service's name",
            unknown=Bad(request=health_pb2.HealthCheckRequest(service=NO_SUCH), about="service", value=NO_SUCH),
            forbidden=TOOL,
        ),
        "grpc.health.v1.Health/List": Refusals(invalid=NOTHING_ASKED, unknown=NOTHING_ASKED, forbidden=TOOL),
        "grpc.health.v1.Health/Watch": in_stream,
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": in_stream,
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": in_stream,
        "grpc.channelz.v1.Channelz/GetTopChannels": books(pb.GetTopChannelsRequest),
        "grpc.channelz.v1.Channelz/GetServers": books(pb.GetServersRequest),
        "grpc.channelz.v1.Channelz/GetServer": book(pb.GetServerRequest, "server_id"),
        "grpc.channelz.v1.Channelz/GetServerSockets": book(pb.GetServerSocketsRequest, "server_id"),
        "grpc.channelz.v1.Channelz/GetChannel": book(pb.GetChannelRequest, "channel_id"),
        "grpc.channelz.v1.Channelz/GetSubchannel": book(pb.GetSubchannelRequest, "subchannel_id"),
        "grpc.channelz.v1.Channelz/GetSocket": book(pb.GetSocketRequest, "socket_id"),
    }
