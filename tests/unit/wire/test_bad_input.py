"""Whatever comes from outside is either a value of the model or an error that names its field."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.docker import DeviceMapping, DockerInfo
from paddock.model.errors import InvalidRequest, PaddockError, Unsupported
from paddock.model.health import HealthCheck, HttpCheck
from paddock.model.image import parse_image
from paddock.model.task import CommandInfo, ContainerType, TaskInfo
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.convert.docker import docker_info_from_wire
from paddock.wire.v1 import container_service_pb2, containers_pb2, offers_pb2, parties_pb2, resources_pb2, tasks_pb2

COMMAND = {"arguments": ["/bin/true"]}
TASK = {"task_id": "t", "agent_id": "a", "command": COMMAND}
STATUS = {"task_id": "t", "state": "TASK_RUNNING", "source": "STATUS_SOURCE_AGENT"}


def read_task(**changes: object) -> object:
    fields = {key: value for key, value in {**TASK, **changes}.items() if value is not None}
    return convert.task_info_from_wire(ParseDict(fields, tasks_pb2.TaskInfo()))


def cpus(milli: int) -> dict[str, object]:
    return {"name": "cpus", "scalar_milli": milli}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task_id": ""}, "task.task_id"),
        ({"task_id": "a/b"}, "task.task_id"),
        ({"task_id": ".."}, "task.task_id"),
        ({"task_id": "a\0b"}, "task.task_id"),
        ({"task_id": "x" * 300}, "task.task_id"),
        ({"agent_id": ""}, "task.agent_id"),
        ({"agent_id": "../a"}, "task.agent_id"),
        ({"name": "n" * 256}, "task.name"),
        ({"name": "a\0b"}, "task.name"),
        ({"command": None}, "task.command"),
        ({"command": {}}, "task.command.arguments"),
        ({"command": {"arguments": [""]}}, "task.command.arguments"),
        ({"command": {"arguments": ["a\0b"]}}, "task.command.arguments[0]"),
        ({"command": {"value": "true"}}, "task.command.value"),
        ({"command": {"shell": True}}, "task.command.value"),
        ({"command": {"shell": True, "value": "x", "arguments": ["y"]}}, "task.command.value"),
        ({"command": {**COMMAND, "user": "a:b"}}, "task.command.user"),
        ({"command": {**COMMAND, "user": "a\nb"}}, "task.command.user"),
        ({"command": {**COMMAND, "working_directory": "a\0"}}, "task.command.working_directory"),
        ({"command": {**COMMAND, "environment": [{"name": ""}]}}, "task.command.environment[0].name"),
        ({"command": {**COMMAND, "environment": [{"name": "A=B"}]}}, "task.command.environment[0].name"),
        ({"command": {**COMMAND, "environment": [{"name": "A\0"}]}}, "task.command.environment[0].name"),
        ({"command": {**COMMAND, "environment": [{"name": "A", "value": "\0"}]}}, "task.command.environment[0].value"),
        ({"command": {**COMMAND, "environment": [{"name": "A"}, {"name": "A"}]}}, "task.command.environment[1]"),
        ({"command": {**COMMAND, "uris": [{"value": "ftp://example.com/x"}]}}, "task.command.uris[0].value"),
        ({"command": {**COMMAND, "uris": [{"value": "/a/x"}, {"value": "/b/x"}]}}, "task.command.uris[1].output_file"),
        ({"command": {**COMMAND, "uris": [{"value": "/a"}] * 101}}, "task.command.uris"),
        ({"resources": [cpus(-1)]}, "task.resources[0].scalar_milli"),
        ({"resources": [cpus(10**15 + 1)]}, "task.resources[0].scalar_milli"),
        ({"resources": [cpus(-(2**63))]}, "task.resources[0].scalar_milli"),
        ({"resources": [cpus(1), {"name": "cpus"}]}, "task.resources[1].value"),
        ({"resources": [{"name": "", "scalar_milli": 1}]}, "task.resources[0].name"),
        ({"resources": [{"name": "a;b", "scalar_milli": 1}]}, "task.resources[0].name"),
        ({"resources": [cpus(1), {"name": "cpus", "items": {"items": ["a"]}}]}, "task.resources[1].value"),
        ({"resources": [{"name": "p", "ranges": {"ranges": [{"begin": 5, "end": 4}]}}]}, "task.resources[0].ranges[0]"),
        (
            {"resources": [{"name": "p", "ranges": {"ranges": [{"begin": 1, "end": 2**63}]}}]},
            "task.resources[0].ranges[0]",
        ),
        ({"resources": [{"name": "p", "ranges": {"ranges": [{}] * 4097}}]}, "task.resources[0].ranges"),
        ({"resources": [{"name": "s", "items": {"items": ["a", "a"]}}]}, "task.resources[0].items[1]"),
        ({"resources": [{"name": "s", "items": {"items": [""]}}]}, "task.resources[0].items[0]"),
        ({"resources": [cpus(1)] * 1001}, "task.resources"),
        ({"resources": [{**cpus(1), "allocation_role": "a b"}]}, "task.resources[0].allocation_role"),
        ({"resources": [{**cpus(1), "reservations": [{"role": "*"}]}]}, "task.resources[0].reservations[0].role"),
        (
            {"resources": [{**cpus(1), "reservations": [{"role": "a"}, {"role": "b"}]}]},
            "task.resources[0].reservations[1].role",
        ),
        ({"resources": [{**cpus(1), "volume": {}}]}, "task.resources[0].volume.persistence_id"),
        ({"limits": {"cpus_milli": 0}}, "task.limits.cpus_milli"),
        ({"limits": {"memory_bytes": 0}}, "task.limits.memory_bytes"),
        ({"limits": {"memory_bytes": -2}}, "task.limits.memory_bytes"),
        ({"limits": {"swap_bytes": -2}}, "task.limits.swap_bytes"),
        ({"limits": {"pids_count": 0}}, "task.limits.pids_count"),
        ({"kill_policy": {"signal": 65}}, "task.kill_policy.signal"),
        ({"health_check": {}}, "task.health_check"),
        ({"health_check": {"command": "true", "tcp": {"port": 1}}}, "task.health_check"),
        ({"health_check": {"command": "a\0b"}}, "task.health_check.command"),
        ({"health_check": {"tcp": {"port": 0}}}, "task.health_check.tcp.port"),
        ({"health_check": {"tcp": {"port": 65_536}}}, "task.health_check.tcp.port"),
        ({"health_check": {"http": {"port": 80, "path": "x"}}}, "task.health_check.http.path"),
        ({"health_check": {"http": {"port": 80, "path": "/a b"}}}, "task.health_check.http.path"),
        ({"health_check": {"http": {"port": 80, "path": "/\r\nX: y"}}}, "task.health_check.http.path"),
        ({"health_check": {"http": {"port": 80, "path": "/\n"}}}, "task.health_check.http.path"),
        ({"health_check": {"http": {"port": 80, "scheme": "ftp"}}}, "task.health_check.http.scheme"),
        ({"health_check": {"http": {"port": 80, "statuses": [99]}}}, "task.health_check.http.statuses[0]"),
        ({"health_check": {"command": "x", "interval_ms": 99}}, "task.health_check.interval_ms"),
        ({"health_check": {"command": "x", "timeout_ms": 0}}, "task.health_check.timeout_ms"),
        ({"health_check": {"command": "x", "delay_ms": 2**64 - 1}}, "task.health_check.delay_ms"),
        (
            {"health_check": {"command": "x", "consecutive_failures": 2**32 - 1}},
            "task.health_check.consecutive_failures",
        ),
        ({"check": {}}, "task.check"),
        ({"check": {"command": "x", "http": {"port": 80}}}, "task.check"),
        ({"check": {"http": {"port": 80, "statuses": [200]}}}, "task.check.http.statuses"),
        ({"check": {"tcp": {}}}, "task.check.tcp.port"),
        ({"check": {"command": "x", "grace_period_ms": 0}}, "task.check.grace_period_ms"),
        ({"check": {"command": "x", "consecutive_failures": 1}}, "task.check.consecutive_failures"),
        ({"check": {"command": "x", "interval_ms": 99}}, "task.check.interval_ms"),
        ({"check": {"command": "x", "timeout_ms": 0}}, "task.check.timeout_ms"),
        ({"log_policy": {"file_bytes": 65535}}, "task.log_policy.file_bytes"),
        ({"log_policy": {"file_bytes": -2}}, "task.log_policy.file_bytes"),
        ({"log_policy": {"file_bytes": 2**50 + 1}}, "task.log_policy.file_bytes"),
        ({"log_policy": {"file_count": 0}}, "task.log_policy.file_count"),
        ({"log_policy": {"file_count": 101}}, "task.log_policy.file_count"),
        ({"kill_policy": {"grace_period_ms": 2**64 - 1}}, "task.kill_policy.grace_period_ms"),
        ({"max_completion_time_ms": 2**64 - 1}, "task.max_completion_time_ms"),
        ({"labels": {"": "x"}}, "task.labels"),
        ({"labels": {"k": "v" * 5000}}, "task.labels['k']"),
        ({"labels": {str(n): "" for n in range(257)}}, "task.labels"),
        ({"labels": {str(n): "v" * 4000 for n in range(17)}}, "task.labels"),
        ({"container": {"rlimits": [{"resource": "NOFILE"}]}}, "task.container.rlimits[0].resource"),
        ({"container": {"rlimits": [{"resource": "RLMT_AS", "soft": 1}]}}, "task.container.rlimits[0]"),
        ({"container": {"rlimits": [{"resource": "RLMT_AS", "soft": 2, "hard": 1}]}}, "task.container.rlimits[0]"),
        ({"container": {"rlimits": [{"resource": "RLMT_AS"}] * 2}}, "task.container.rlimits[1]"),
        (
            {"container": {"linux": {"bounding_capabilities": ["chown"]}}},
            "task.container.linux.bounding_capabilities[0]",
        ),
        (
            {"container": {"linux": {"capabilities_given": True, "effective_capabilities": ["CAP_KILL"]}}},
            "task.container.linux.effective_capabilities",
        ),
    ],
)
def test_a_bad_task_is_refused_by_the_name_of_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_task(**changes)
    assert refused.value.field == field
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image": ""}, "image"),
        ({"image": "Busybox"}, "image"),
        ({"image": "a@sha256:00"}, "image"),
        ({"network_name": "host"}, "network_name"),
        ({"network_name": "-a"}, "network_name"),
        ({"network_name": "container:x"}, "network_name"),
        ({"port_mappings": [{"host_port": 0, "container_port": 80}]}, "port_mappings[0].host_port"),
        ({"port_mappings": [{"host_port": 70_000, "container_port": 80}]}, "port_mappings[0].host_port"),
        ({"port_mappings": [{"host_port": 80}]}, "port_mappings[0].container_port"),
        (
            {"port_mappings": [{"host_port": 1, "container_port": 1, "protocol": "icmp"}]},
            "port_mappings[0].protocol",
        ),
        ({"entrypoint": ["a", "b\0"]}, "entrypoint[1]"),
        ({"tmpfs": [{"path": "tmp"}]}, "tmpfs[0].path"),
        ({"tmpfs": [{"path": "/"}]}, "tmpfs[0].path"),
        ({"tmpfs": [{"path": "/tmp", "size_bytes": 0}]}, "tmpfs[0].size_bytes"),
        ({"tmpfs": [{"path": "/tmp", "size_bytes": 2**63}]}, "tmpfs[0].size_bytes"),
        ({"devices": [{"host_path": "dev/null"}]}, "devices[0].host_path"),
        ({"devices": [{"host_path": "/dev/null", "container_path": "/"}]}, "devices[0].container_path"),
        ({"devices": [{"host_path": "/dev/null", "permissions": "rx"}]}, "devices[0].permissions"),
        ({"devices": [{"host_path": "/dev/null", "permissions": "rr"}]}, "devices[0].permissions"),
        ({"volumes": [{"container_path": "/a"}]}, "volumes[0]"),
        ({"volumes": [{"host_path": "/a", "name": "ab", "container_path": "/a"}]}, "volumes[0]"),
        ({"volumes": [{"host_path": "a", "container_path": "/a"}]}, "volumes[0].host_path"),
        ({"volumes": [{"host_path": "/a/../b", "container_path": "/a"}]}, "volumes[0].host_path"),
        ({"volumes": [{"name": "a", "container_path": "/a"}]}, "volumes[0].name"),
        ({"volumes": [{"name": "../a", "container_path": "/a"}]}, "volumes[0].name"),
        ({"volumes": [{"name": "ab", "container_path": "a"}]}, "volumes[0].container_path"),
        ({"volumes": [{"name": "ab", "container_path": "/a/"}]}, "volumes[0].container_path"),
        ({"volumes": [{"name": "ab", "container_path": "/a/.."}]}, "volumes[0].container_path"),
        ({"volumes": [{"name": "ab", "container_path": "/a\n"}]}, "volumes[0].container_path"),
        ({"volumes": [{"name": "ab", "container_path": "/" + "a" * 4095}]}, "volumes[0].container_path"),
        ({"dns": ["1.2.3.4", "1.2.3"]}, "dns[1]"),
        ({"dns": ["fe80::1%eth0"]}, "dns[0]"),
        ({"dns_search": ["a b"]}, "dns_search[0]"),
        ({"dns_options": ["ndots: 2"]}, "dns_options[0]"),
        ({"extra_hosts": [{"hostname": "a\nb", "address": "::1"}]}, "extra_hosts[0].hostname"),
        ({"extra_hosts": [{"hostname": "a", "address": "b"}]}, "extra_hosts[0].address"),
        ({"hostname": "a_b"}, "hostname"),
        ({"hostname": "a" * 64}, "hostname"),
        ({"shm_size_bytes": 0}, "shm_size_bytes"),
        ({"parameters": {"cpuset-cpu": "0"}}, "parameters"),
        ({"parameters": {"cpuset-cpus": "all"}}, "parameters[cpuset-cpus]"),
        ({"dns_options": ["a"] * 33_000}, ""),
    ],
)
def test_a_bad_word_to_docker_is_refused_by_the_name_of_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_task(container={"type": "CONTAINER_TYPE_DOCKER", "docker": {"image": "busybox", **changes}})
    assert refused.value.field == f"task.container.docker{'.' if field else ''}{field}"
    assert refused.value.remedy
    assert len(str(refused.value)) < 1000


def test_of_docker_little_has_to_be_said() -> None:
    task = read_task(container={"docker": {"image": "busybox", "devices": [{"host_path": "/dev/null"}]}}, command=None)
    assert isinstance(task, TaskInfo)
    assert task.command == CommandInfo()
    assert task.container.type is ContainerType.DOCKER
    device = DeviceMapping(host_path="/dev/null", container_path="/dev/null", permissions="rwm")
    assert task.container.docker == DockerInfo(image=parse_image("busybox"), devices=(device,), init=True)
    assert convert.task_info_from_wire(convert.task_info_to_wire(task)) == task


def test_a_docker_network_of_the_future_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match=r"docker.network = 9 .*NETWORK_HOST, NETWORK_BRIDGE"):
        read_task(container={"docker": {"image": "busybox", "network": 9}})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"command": None, "executor": {"executor_id": "e"}}, "task.executor"),
        ({"container": {"type": 9}}, "task.container.type = 9"),
    ],
)
def test_what_is_not_built_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Unsupported) as refused:
        read_task(**changes)
    assert refused.value.field == field


def test_launching_a_group_is_refused_by_name() -> None:
    message = ParseDict({"launch_group": {}}, offers_pb2.Operation())
    with pytest.raises(Unsupported) as refused:
        convert.operations_from_wire([message])
    assert refused.value.field == "operations[0].launch_group"


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({"reserve": {}}, "reserve.resources"),
        ({"unreserve": {"resources": [cpus(0)]}}, "unreserve.resources"),
        ({"create": {}}, "create.volumes"),
        ({"destroy": {"volumes": [{"name": "disk"}]}}, "destroy.volumes[0].value"),
        ({"grow_volume": {}}, "grow_volume.volume[0].value"),
        ({"grow_volume": {"volume": cpus(1)}}, "grow_volume.addition[0].value"),
        ({"shrink_volume": {"volume": cpus(1)}}, "shrink_volume.subtract_milli"),
        ({"shrink_volume": {"volume": cpus(1), "subtract_milli": -1}}, "shrink_volume.subtract_milli"),
        ({"reserve": {"resources": [cpus(1)]}, "operation_id": "x" * 256}, "operation_id"),
        ({"reserve": {"resources": [{**cpus(1), "reservations": [{"role": "r", "expires_ms": 5}]}]}},
         "reserve.resources[0].reservations[0].expires_ms"),
        ({"reserve": {"resources": [
            {**cpus(1), "reservations": [{"role": "r", "dynamic": True, "expires_ms": 2**63}]}]}},
         "reserve.resources[0].reservations[0].expires_ms"),
    ],
)  # fmt: skip
def test_operations_are_checked(operation: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.operations_from_wire([ParseDict(operation, offers_pb2.Operation())])
    assert refused.value.field == f"operations[0].{field}"


def test_an_operation_that_is_none_and_a_task_that_comes_twice_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"operations\[0\].operation"):
        convert.operations_from_wire([offers_pb2.Operation()])
    launch = ParseDict({"launch": {"tasks": [TASK]}}, offers_pb2.Operation())
    with pytest.raises(InvalidRequest, match=r"operations.tasks\[1\]"):
        convert.operations_from_wire([launch, launch])


def test_a_check_says_nothing_about_its_times_and_has_mesos_defaults() -> None:
    task = read_task(health_check={"command": "true"})
    assert isinstance(task, TaskInfo)
    assert task.health_check == HealthCheck(
        command="true", delay_ms=15_000, interval_ms=10_000, timeout_ms=20_000, grace_ms=10_000, failure_count=3
    )
    task = read_task(health_check={"http": {"port": 80}, "delay_ms": 0, "consecutive_failures": 0})
    assert isinstance(task, TaskInfo)
    assert task.health_check == HealthCheck(http=HttpCheck(port=80), delay_ms=0, failure_count=0)


def test_docker_is_let_through() -> None:
    message = ParseDict({"type": "CONTAINER_TYPE_DOCKER"}, tasks_pb2.ContainerInfo())
    assert convert.container_info_from_wire(message).type is ContainerType.DOCKER


def test_an_environment_of_one_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    def of(size_bytes: int) -> tasks_pb2.CommandInfo:
        # Each variable costs its `=` and its NUL too.
        value = "x" * (size_bytes - len("SECRET") - 2)
        return ParseDict({**COMMAND, "environment": [{"name": "SECRET", "value": value}]}, tasks_pb2.CommandInfo())

    assert len(convert.command_from_wire(of(2**20)).environment[0][1]) > 2**20 - 100
    with pytest.raises(InvalidRequest, match="environment") as refused:
        convert.command_from_wire(of(2**20 + 1))
    assert "xxx" not in str(refused.value)


def test_arguments_of_more_than_one_mebibyte_together_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="all arguments together"):
        convert.command_from_wire(tasks_pb2.CommandInfo(arguments=["x" * 1000] * 1100))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": 0}, "status.state"),
        ({"state": 99}, "status.state"),
        ({"source": 0}, "status.source"),
        ({"source": 9}, "status.source"),
        ({"uuid": "AAAA"}, "status.uuid"),
        ({"message": "m" * 70_000}, "status.message"),
        ({"agent_id": "a/b"}, "status.agent_id"),
        ({"container_id": "-c"}, "status.container_id"),
        ({"timestamp": "0001-01-01T00:00:00Z"}, "status.timestamp"),
    ],
)
def test_a_bad_status_is_refused_by_the_name_of_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.task_status_from_wire(ParseDict({**STATUS, **changes}, tasks_pb2.TaskStatus()))
    assert refused.value.field == field


TERMS = "framework.offer_terms[0]"
CONSTRAINT = f"{TERMS}.constraint_groups[0].constraints[0]"
GOOD: dict[str, object] = {"select": "rack", "predicate": "ATTRIBUTE_TEXT_EQUALS", "value": "r1"}


def terms(**said: object) -> dict[str, object]:
    return {"roles": ["a"], "offer_terms": [{"role": "a", **said}]}


def constrained(**said: object) -> dict[str, object]:
    return terms(constraint_groups=[{"constraints": [{**GOOD, **said}]}])


def least(alternatives: list[object]) -> dict[str, object]:
    return terms(minimum={"alternatives": alternatives})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"framework_id": "a/b"}, "framework.framework_id"),
        ({"roles": ["a b"]}, "framework.roles[0]"),
        ({"roles": ["a", "a"]}, "framework.roles[1]"),
        ({"roles": ["a/../b"]}, "framework.roles[0]"),
        ({"name": "a\0"}, "framework.name"),
        ({"failover_timeout_ms": 2**64 - 1}, "framework.failover_timeout_ms"),
        ({"roles": ["a"], "offer_terms": [{"role": "b"}]}, "framework.offer_terms[0].role"),
        ({"roles": ["a"], "offer_terms": [{"role": "a"}, {"role": "a"}]}, "framework.offer_terms[1]"),
        (terms(constraint_groups=[{}]), f"{TERMS}.constraint_groups[0].constraints"),
        (constrained(select=""), f"{CONSTRAINT}.select"),
        (constrained(select="$hostnam"), f"{CONSTRAINT}.select"),
        (constrained(select="x" * 256), f"{CONSTRAINT}.select"),
        (constrained(predicate=0), f"{CONSTRAINT}.predicate"),
        (constrained(predicate=7), f"{CONSTRAINT}.predicate"),
        (constrained(value=""), f"{CONSTRAINT}.value"),
        (constrained(value="a\0"), f"{CONSTRAINT}.value"),
        (constrained(predicate="ATTRIBUTE_EXISTS"), f"{CONSTRAINT}.value"),
        (terms(constraint_groups=[{"constraints": [GOOD]}] * 101), f"{TERMS}.constraint_groups"),
        (least([{}]), f"{TERMS}.minimum.alternatives[0].milli"),
        (least([{"milli": {"cpus": -1}}]), f"{TERMS}.minimum.alternatives[0].milli[0].cpus"),
        (least([{"milli": {"a b": 1}}]), f"{TERMS}.minimum.alternatives[0].milli[0].name"),
        (least([{"milli": {"cpus": 1}}] * 17), f"{TERMS}.minimum.alternatives"),
        (least([{"milli": {f"r{number}": 1 for number in range(65)}}]), f"{TERMS}.minimum.alternatives[0].milli"),
    ],
)
def test_a_bad_framework_is_refused_by_the_name_of_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.framework_info_from_wire(ParseDict(changes, parties_pb2.FrameworkInfo()))
    assert refused.value.field == field


def test_a_capability_of_the_future_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="PARTITION_AWARE = 5"):
        convert.framework_info_from_wire(ParseDict({"capabilities": [77]}, parties_pb2.FrameworkInfo()))


def test_a_bad_agent_is_refused() -> None:
    for fields in (
        {"agent_id": "a/b"},
        {"agent_id": "a", "cgroup_mode": "v3"},
        {"agent_id": "a", "hostname": "\0"},
        {"agent_id": "a", "containerizers": ["a\0"]},
        {"agent_id": "a", "containerizers": ["docker", "docker"]},
        {"agent_id": "a", "containerizers": [f"{number}" for number in range(17)]},
    ):
        with pytest.raises(InvalidRequest):
            convert.agent_info_from_wire(ParseDict(fields, parties_pb2.AgentInfo()))
    attribute = resources_pb2.Attribute(name="rack")
    with pytest.raises(InvalidRequest, match=r"attributes\[0\].value"):
        convert.attributes_from_wire([attribute])


def test_a_standalone_launch_is_read_and_checked_as_a_task_is() -> None:
    request = container_service_pb2.LaunchContainerRequest(command=tasks_pb2.CommandInfo(arguments=["true"]))
    launch = convert.standalone_launch_from_wire(request)
    assert (launch.container_id, launch.wait_until) == (None, convert.WaitUntil.DURABLE)
    request.container.docker.image = "busybox"
    request.container.docker.port_mappings.add(host_port=80, container_port=80)
    with pytest.raises(InvalidRequest, match=r"^container.docker.port_mappings: '80:80/tcp'.*BRIDGE"):
        convert.standalone_launch_from_wire(request)
    request.ClearField("container")
    request.container_id.value = "c1"
    request.wait_until = container_service_pb2.WAIT_UNTIL_TERMINATED
    launch = convert.standalone_launch_from_wire(request)
    assert (launch.container_id, launch.wait_until) == ("c1", convert.WaitUntil.TERMINATED)
    request.health_check.command = "true"
    launch = convert.standalone_launch_from_wire(request)
    assert launch.health_check == HealthCheck(command="true")
    request.health_check.timeout_ms = 0
    with pytest.raises(InvalidRequest, match=r"^health_check.timeout_ms"):
        convert.standalone_launch_from_wire(request)
    request.ClearField("health_check")
    request.container_id.value = "a/b"
    with pytest.raises(InvalidRequest, match=r"container_id.value"):
        convert.standalone_launch_from_wire(request)
    request.container_id.parent.value = "p"
    with pytest.raises(Unsupported, match=r"container_id.parent"):
        convert.standalone_launch_from_wire(request)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resources": [cpus(1)]}, "container_id.value"),
        ({"container_id": {"value": "c"}}, "limits"),
        ({"container_id": {"value": "c"}, "limits": {}}, "limits"),
        ({"container_id": {"value": "c"}, "resources": [cpus(1), cpus(2)]}, "resources[1]"),
        ({"container_id": {"value": "c"}, "limits": {"pids_count": 0}}, "limits.pids_count"),
    ],
)
def test_a_bad_update_is_refused_by_the_name_of_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.container_update_from_wire(ParseDict(fields, container_service_pb2.UpdateContainerRequest()))
    assert refused.value.field == field


def test_nested_containers_are_refused_wherever_one_is_named() -> None:
    message = containers_pb2.ContainerId(value="c", parent=containers_pb2.ContainerId(value="p"))
    with pytest.raises(Unsupported, match=r"container_id.parent"):
        convert.container_id_from_wire(message)


def test_words_on_their_way_out_are_made_such_that_every_receiver_takes_them() -> None:
    odd = "\udcff\0" + "é" * 100_000
    out = bounds.shown(odd)
    assert out.startswith("\\udcff\N{SYMBOL FOR NULL}é")
    assert len(out.encode()) <= bounds.MESSAGE_LIMIT_BYTES
    assert bounds.text(out, "message", bounds.MESSAGE_LIMIT_BYTES) == out


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (tasks_pb2.TaskInfo, convert.task_info_from_wire),
        (tasks_pb2.TaskStatus, convert.task_status_from_wire),
        (parties_pb2.FrameworkInfo, convert.framework_info_from_wire),
        (parties_pb2.AgentInfo, convert.agent_info_from_wire),
        (offers_pb2.Offer, convert.offer_from_wire),
        (container_service_pb2.LaunchContainerRequest, convert.standalone_launch_from_wire),
        (container_service_pb2.UpdateContainerRequest, convert.container_update_from_wire),
        (tasks_pb2.DockerInfo, docker_info_from_wire),
    ],
)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_bytes_that_parse_are_a_value_or_a_foreseen_error(kind, read, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    # Fields numbered 1 to 21, each a varint or some bytes: far more of this parses than of plain noise.
    field = st.tuples(st.integers(1, 21), st.integers(0, 2**64 - 1) | st.binary(max_size=12))
    raw = b"".join(_field(number, value) for number, value in data.draw(st.lists(field, max_size=8)))
    try:
        message = kind.FromString(raw)
    except Exception:
        return
    try:
        read(message)
    except PaddockError:
        pass


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + bytes([len(value)]) + value
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
