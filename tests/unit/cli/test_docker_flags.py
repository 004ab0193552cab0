"""What `paddock run` makes of its flags about Docker, and what people read of it afterwards."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.cli import run
from paddock.cli.describe import standalone_lines, task_lines
from paddock.cli.docker_flags import DockerRequest
from paddock.cli.docker_lines import docker_lines
from paddock.cli.run_request import RunRequest
from paddock.model.docker import (
    DeviceMapping,
    DockerInfo,
    DockerNetwork,
    DockerVolume,
    ExtraHost,
    PortMapping,
    PortProtocol,
    Tmpfs,
)
from paddock.model.errors import InvalidRequest
from paddock.model.image import parse_image
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType
from paddock.rpc.clients.views_from_wire import container_view
from paddock.wire.convert.docker import docker_info_to_wire
from paddock.wire.v1 import containers_pb2
from tests.unit.cli.views import task_view

WHOLE = DockerInfo(
    image=parse_image("r.example:5000/a:1"),
    force_pull=True,
    network=DockerNetwork.USER,
    network_name="blue",
    entrypoint=("/entry",),
    image_user=True,
    privileged=True,
    read_only_root=True,
    tmpfs=(Tmpfs(path="/run", size_bytes=64 << 20), Tmpfs(path="/x")),
    devices=(
        DeviceMapping(host_path="/dev/null", container_path="/dev/null"),
        DeviceMapping(host_path="/dev/zero", container_path="/dev/z", permissions="r"),
    ),
    volumes=(
        DockerVolume(host_path="/srv", container_path="/a", read_only=True),
        DockerVolume(name="cache", container_path="/b"),
    ),
    dns=("10.0.0.1",),
    dns_search=("example.com",),
    dns_options=("ndots:2",),
    extra_hosts=(ExtraHost(hostname="gate", address="host-gateway"), ExtraHost(hostname="six", address="::1")),
    hostname="inner",
    init=False,
    shm_size_bytes=128 << 20,
    parameters=(("cpuset-cpus", "0-1"), ("sysctl", "net.core.somaxconn=512")),
)
FLAGS = (
    "--docker=r.example:5000/a:1",
    "--pull=always",
    "--network=blue",
    "--entrypoint=/entry",
    "--image-user",
    "--privileged",
    "--read-only",
    "--tmpfs=/run:size=64MiB",
    "--tmpfs=/x",
    "--device=/dev/null",
    "--device=/dev/zero:/dev/z:r",
    "-v=/srv:/a:ro",
    "-v=cache:/b:rw",
    "--dns=10.0.0.1",
    "--dns-search=example.com",
    "--dns-option=ndots:2",
    "--add-host=gate:host-gateway",
    "--add-host=six:::1",
    "--hostname=inner",
    "--no-init",
    "--shm-size=128MiB",
    "--parameter=sysctl=net.core.somaxconn=512",
    "--parameter=cpuset-cpus=0-1",
)


def request(*flags: str, command: tuple[str, ...] = ("true",)) -> RunRequest:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(flags)
    arguments.command = list(command)
    return run.request_of(arguments)


def docker(*flags: str, command: tuple[str, ...] = ("true",)) -> DockerRequest:
    found = request(*flags, command=command).docker
    assert found is not None
    return found


def test_every_flag_is_said_to_the_engine() -> None:
    assert docker(*FLAGS) == DockerRequest(docker=WHOLE, published=())
    said = {
        name
        for name in WHOLE.__dataclass_fields__
        if getattr(WHOLE, name) != DockerInfo(image=WHOLE.image).__getattribute__(name)
    }
    assert said == set(WHOLE.__dataclass_fields__) - {"image", "port_mappings"}


def test_without_an_image_nothing_of_this_is_said() -> None:
    assert request().docker is None
    for flag in FLAGS[1:]:
        name = flag.partition("=")[0].replace("-v", "--volume").replace("--no-init", "--init")
        with pytest.raises(InvalidRequest, match="name the image: --docker IMAGE") as refused:
            request(flag)
        assert refused.value.field == name


def test_an_image_alone_is_enough_and_names_the_task() -> None:
    found = request("--docker=busybox:1.36", command=())
    assert found.docker == DockerRequest(docker=DockerInfo(image=parse_image("busybox:1.36")), published=())
    assert (found.name, found.command.arguments) == ("busybox", ())
    with pytest.raises(InvalidRequest, match="after --"):
        request(command=())


def test_an_empty_entry_point_is_none_and_then_the_command_is_needed() -> None:
    assert docker("--docker=x", "--entrypoint=").docker.entrypoint == ()
    with pytest.raises(InvalidRequest, match="name the program") as refused:
        docker("--docker=x", "--entrypoint=", command=())
    assert refused.value.field == "CMD"


def test_what_is_published_goes_over_the_bridge_and_gets_the_offers_ports() -> None:
    found = docker("--docker=x", "--publish=80", "--publish=31000:53/udp", "-p=31000:53")
    assert found.docker.network is DockerNetwork.BRIDGE
    assert found.published == (
        PortMapping(host_port=0, container_port=80),
        PortMapping(host_port=31_000, container_port=53, protocol=PortProtocol.UDP),
        PortMapping(host_port=31_000, container_port=53),
    )
    mapped = found.mapped((31_007, 31_000, 31_000))
    assert mapped.docker is not None
    assert [mapping.host_port for mapping in mapped.docker.port_mappings] == [31_007, 31_000, 31_000]
    assert mapped.type is ContainerType.DOCKER
    assert docker("--docker=x", "--publish=80", "--network=blue").docker.network_name == "blue"


@pytest.mark.parametrize(
    ("flags", "field", "words"),
    [
        (["--docker=Busybox"], "--docker", "no name"),
        (["--docker=UPPER/x"], "--docker", "its part 'UPPER' is no name"),
        (["--docker=x", "--pull=never"], "--pull", "missing or always"),
        (["--docker=x", "--network=default"], "--network", "the engine's own"),
        (["--docker=x", "--publish=x"], "--publish", "31000:80"),
        (["--docker=x", "--publish=80/icmp"], "--publish", "tcp, udp, sctp"),
        (["--docker=x", "--publish=0:80"], "--publish.host_port", "1 to 65535"),
        (["--docker=x", "--publish=80:0"], "--publish.container_port", "1 to 65535"),
        (["--docker=x", "--publish=70000"], "--publish.container_port", "1 to 65535"),
        (["--docker=x", "--publish=80", "--network=host"], "--publish", "network HOST"),
        (["--docker=x", "--publish=80:1", "--publish=80:2"], "--publish", "mapped for tcp already"),
        (["--docker=x", "--hostname=a"], "--hostname", "network HOST"),
        (["--docker=x", "--hostname=a_b", "--network=none"], "--hostname", "at most 63"),
        (["--docker=x", "--tmpfs=run"], "--tmpfs", "absolute"),
        (["--docker=x", "--tmpfs=/run:64MiB"], "--tmpfs", "size=SIZE"),
        (["--docker=x", "--tmpfs=/run:size=0"], "--tmpfs", "above 0"),
        (["--docker=x", "--tmpfs=/run", "--volume=ab:/run"], "--tmpfs", "place of its own"),
        (["--docker=x", "--device=null"], "--device.host_path", "absolute"),
        (["--docker=x", "--device=/dev/null::x"], "--device.permissions", "r .read."),
        (["--docker=x", "--volume=/a"], "--volume", "SOURCE:PATH"),
        (["--docker=x", "--volume=/a:/b:z"], "--volume", "SOURCE:PATH:ro"),
        (["--docker=x", "--volume=a/b:/b"], "--volume.host_path", "absolute"),
        (["--docker=x", "--volume=a:/b"], "--volume.name", "2 to 255"),
        (["--docker=x", "--volume=ab:b"], "--volume.container_path", "absolute"),
        (["--docker=x", "--dns=a"], "--dns", "IPv4"),
        (["--docker=x", "--dns-search=a b"], "--dns-search", "253"),
        (["--docker=x", "--dns-option=A"], "--dns-option", "resolv.conf"),
        (["--docker=x", "--add-host=a"], "--add-host.address", "IPv4"),
        (["--docker=x", "--shm-size=x"], "--shm-size", "64KiB"),
        (["--docker=x", "--shm-size=0"], "--shm-size", "above 0"),
        (["--docker=x", "--parameter=ipc"], "--parameter", "KEY=VALUE"),
        (["--docker=x", "--parameter=ipcs=none"], "--parameter", "did you mean ipc"),
        (["--docker=x", "--parameter=ip=10.0.0.1"], "--parameter", "network USER"),
        (["--docker=x", "--parameter=ipc=none", "--parameter=ipc=none"], "--parameter", "once"),
        (["--docker=x", "--workdir=a"], "--workdir", "absolute"),
    ],
)
def test_what_is_wrong_is_said_of_its_flag(flags: list[str], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        docker(*flags)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: {refused.value.value} is not accepted: ")


@given(
    st.sampled_from(["publish", "volume", "tmpfs", "device", "add-host", "parameter", "dns", "network", "entrypoint"]),
    st.text("a0:/.=, é\n\udcff", max_size=12) | st.text(max_size=12),
)
@settings(deadline=None)
def test_anything_is_taken_or_refused_by_its_flag(flag: str, text: str) -> None:
    refused = None
    try:
        docker("--docker=x", f"--{flag}={text}")
    except InvalidRequest as error:
        refused = error  # anything else is a defect
    assert refused is None or refused.field.startswith(f"--{flag}")


def test_people_read_what_was_said() -> None:
    mappings = (PortMapping(host_port=31_000, container_port=80), PortMapping(host_port=31_001, container_port=81))
    container = ContainerInfo(type=ContainerType.DOCKER, docker=replace(WHOLE, port_mappings=mappings))
    view = task_view("t")
    view = replace(view, task=replace(view.task, container=container, command=CommandInfo()))
    lines = [f"{label}: {text}" for label, text in task_lines(view)]
    assert "Command: the image's own" in lines
    assert lines[lines.index("Command: the image's own") + 1 :] == [
        "Image: r.example:5000/a:1, asked of the registry at each launch",
        "Entry point: /entry",
        "Network: blue, as inner",
        "Port: 31000:80/tcp",
        ": 31001:81/tcp",
        "Volume: /srv:/a:ro",
        ": cache:/b",
        "Tmpfs: /run, 64 MiB",
        ": /x",
        "Device: /dev/null at /dev/null, rwm",
        ": /dev/zero at /dev/z, r",
        "Names: servers 10.0.0.1",
        ": search example.com",
        ": options ndots:2",
        ": gate is host-gateway",
        ": six is ::1",
        (
            "Engine: privileged, the image's user, root read-only, no init, shared memory 128 MiB, cpuset-cpus=0-1, "
            "sysctl=net.core.somaxconn=512"
        ),
    ]


def test_little_that_was_said_is_little_to_read() -> None:
    assert list(docker_lines(DockerInfo(image=parse_image("busybox"), entrypoint=()))) == [
        ("Image", "busybox"),
        ("Entry point", "none"),
        ("Network", "host"),
    ]


def test_an_operators_container_tells_its_image_too() -> None:
    message = containers_pb2.Container(docker=docker_info_to_wire(WHOLE), state=containers_pb2.CONTAINER_RUNNING)
    message.container_id.value = "c"
    view = container_view(message)
    assert view.docker == WHOLE
    assert '"image": "r.example:5000/a:1"' in view.document
    assert ("Entry point", "/entry") in list(standalone_lines(view))
