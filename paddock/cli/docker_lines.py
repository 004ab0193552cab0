"""What a Docker task says to its engine, for people: a line for each thing that was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paddock.cli.output import bytes_text
from paddock.model.docker import DockerInfo, DockerNetwork


def docker_lines(docker: DockerInfo) -> Iterator[tuple[str, str]]:
    """Labels and texts; an empty label goes on with the one above."""
    yield "Image", f"{docker.image}{', asked of the registry at each launch' if docker.force_pull else ''}"
    if docker.entrypoint is not None:
        yield "Entry point", " ".join(docker.entrypoint) or "none"
    name = docker.network_name if docker.network is DockerNetwork.USER else docker.network.value
    yield "Network", f"{name}{f', as {docker.hostname}' if docker.hostname else ''}"
    yield from _rows("Port", docker.port_mappings)
    yield from _rows("Volume", docker.volumes)
    yield from _rows(
        "Tmpfs", (f"{t.path}{'' if t.size_bytes is None else f', {bytes_text(t.size_bytes)}'}" for t in docker.tmpfs)
    )
    yield from _rows("Device", (f"{d.host_path} at {d.container_path}, {d.permissions}" for d in docker.devices))
    yield from _rows("Names", _names(docker))
    further = [*_further(docker), *(f"{key}={value}" for key, value in docker.parameters)]
    if further:
        yield "Engine", ", ".join(further)


def _rows(label: str, values: Iterable[object]) -> Iterator[tuple[str, str]]:
    for value in values:
        yield label, str(value)
        label = ""


def _names(docker: DockerInfo) -> Iterator[str]:
    if docker.dns:
        yield f"servers {' '.join(docker.dns)}"
    if docker.dns_search:
        yield f"search {' '.join(docker.dns_search)}"
    if docker.dns_options:
        yield f"options {' '.join(docker.dns_options)}"
    for host in docker.extra_hosts:
        yield f"{host.hostname} is {host.address}"


def _further(docker: DockerInfo) -> Iterator[str]:
    if docker.privileged:
        yield "privileged"
    if docker.image_user:
        yield "the image's user"
    if docker.read_only_root:
        yield "root read-only"
    if not docker.init:
        yield "no init"
    if docker.shm_size_bytes is not None:
        yield f"shared memory {bytes_text(docker.shm_size_bytes)}"
