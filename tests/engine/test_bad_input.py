"""What is wrong with a Docker task is told through the whole path; and what it fetches is there."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from testbed.engine import images
from testbed.engine.engine import Engine
from tests.cluster.conftest import Command
from tests.engine.registry import running_registry

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


def last_reason(paddock: Command, name: str) -> str:
    tasks = json.loads(paddock.text("ps", "-a", "-o", "json"))
    return str([task for task in tasks if task["task"].get("name") == name][-1]["statuses"][-1]["reason"])


def test_what_it_fetches_is_in_the_container(paddock: Command, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    wanted.write_text("fetched\n")
    words = ("run", f"--docker={images.BUSYBOX}", "--network=none", f"--uri={wanted}")
    done = paddock(*words, "--", "sh", "-c", "cat $PADDOCK_SANDBOX/wanted")
    assert done.stdout == b"fetched\n", done.stderr


def test_a_digest_that_the_registry_does_not_have_is_no_image(paddock: Command, engine: Engine) -> None:
    with running_registry(engine, port=5007) as registry:
        image = f"{registry.address}/box@sha256:{'0' * 64}"
        done = paddock("run", "--name=digest", f"--docker={image}", "--network=none", "--", "true")
    assert done.returncode != 0
    assert b"name a tag or digest that the registry has" in done.stderr, done.stderr
    assert last_reason(paddock, "digest") == "REASON_IMAGE_NOT_FOUND"


def test_a_port_that_somebody_has_is_told(paddock: Command, engine: Engine) -> None:
    """All those that the agent offers: it does not know who else listens where its engine's ports are."""
    with images.client(engine) as api:
        ports: dict[int | str, tuple[str, int]] = {80 + number: ("0.0.0.0", 31_000 + number) for number in range(10)}
        host = api.create_host_config(port_bindings=ports)
        foreign = api.create_container(images.BUSYBOX, ["sleep", "1000"], host_config=host, ports=list(ports))["Id"]
        api.start(foreign)
        try:
            words = ("run", "--name=port", f"--docker={images.BUSYBOX}", "--network=bridge", "--publish=80")
            done = paddock(*words, "--", "true")
        finally:
            api.remove_container(foreign, force=True)
    assert done.returncode != 0
    assert b"port is already allocated" in done.stderr, done.stderr
    assert last_reason(paddock, "port") == "REASON_CONTAINER_LAUNCH_FAILED"


def test_an_image_without_a_command_wants_one(paddock: Command) -> None:
    done = paddock("run", "--name=nothing", f"--docker={images.BUSYBOX}", "--network=none")
    assert done.returncode == 125
    assert b"command.arguments: [] is not accepted: the image has no command of its own" in done.stderr, done.stderr


def test_what_an_engine_takes_for_no_reference_is_refused_before_it_is_asked(paddock: Command, engine: Engine) -> None:
    with images.client(engine) as api, pytest.raises(docker.errors.APIError, match="repository name must be lowercase"):
        api.pull("UPPER/x", "latest")
    done = paddock("run", "--name=upper", "--docker=UPPER/x", "--", "true")
    assert (done.returncode, b"its part 'UPPER' is no name" in done.stderr) == (2, True), done
    assert not [task for task in json.loads(paddock.text("ps", "-a", "-o", "json")) if task["task"]["name"] == "upper"]


def test_a_parameter_that_the_operator_does_not_allow_is_named(paddock: Command) -> None:
    words = ("run", f"--docker={images.BUSYBOX}", "--network=none", "--parameter=runtime=other")
    done = paddock(*words, "--", "true")
    assert done.returncode != 0
    assert b"runtime" in done.stderr, done.stderr
