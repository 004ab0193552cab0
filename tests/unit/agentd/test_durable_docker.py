"""A Docker container in the agent's log: pinned by a golden file, and what an older agent wrote is still read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from agentd.core.durable import ContainerLaunched, DurableEntry
from paddock.daemon.durable_codec import from_bytes, to_bytes
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
from paddock.model.image import ImageReference
from paddock.model.task import ContainerInfo, ContainerType
from tests.unit.agentd.core import made

GOLDEN = Path(__file__).parent / "golden" / "container-launched-docker.json"
DOCKER = DockerInfo(
    image=ImageReference(registry="r.example:5000", repository="a/b", tag="1", digest="sha256:" + "0a" * 32),
    force_pull=True,
    network=DockerNetwork.USER,
    network_name="blue",
    port_mappings=(PortMapping(host_port=31_000, container_port=53, protocol=PortProtocol.UDP),),
    entrypoint=(),
    image_user=True,
    privileged=True,
    read_only_root=True,
    tmpfs=(Tmpfs(path="/tmp", size_bytes=2**20),),
    devices=(DeviceMapping(host_path="/dev/null", container_path="/dev/x", permissions="r"),),
    volumes=(
        DockerVolume(container_path="/a", host_path="/srv", read_only=True),
        DockerVolume(container_path="/b", name="b0"),
    ),
    dns=("10.0.0.1",),
    dns_search=("example.com",),
    dns_options=("ndots:2",),
    extra_hosts=(ExtraHost(hostname="gate", address="host-gateway"),),
    hostname="inner",
    init=False,
    shm_size_bytes=2**26,
    parameters=(("cpuset-cpus", "0-1"),),
)


def launched(container: ContainerInfo) -> ContainerLaunched:
    return ContainerLaunched(config=replace(made.config("c1"), container=container), created_ns=5, boot_id="b")


def test_the_golden_entry_is_read_and_written() -> None:
    entry = launched(ContainerInfo(type=ContainerType.DOCKER, docker=DOCKER))
    golden = GOLDEN.read_bytes().rstrip(b"\n")
    assert from_bytes(golden, DurableEntry) == entry
    assert json.loads(to_bytes(entry, DurableEntry)) == json.loads(golden)


def test_every_field_is_in_the_golden_entry() -> None:
    said = json.loads(GOLDEN.read_bytes())["config"]["container"]["docker"]
    assert set(said) == set(DockerInfo.__dataclass_fields__)


def test_what_was_written_before_there_were_images_is_read() -> None:
    entry = launched(ContainerInfo(type=ContainerType.DOCKER))
    written = to_bytes(entry, DurableEntry)
    assert json.loads(written)["config"]["container"] == {"type": "docker"}
    assert from_bytes(written, DurableEntry) == entry
