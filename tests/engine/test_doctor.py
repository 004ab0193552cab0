"""`paddock doctor` about a real engine: well, hung, gone, and with what nobody holds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine
from testbed.one_host import OneHost
from tests.agentd_process import AgentdProcess, running_agentd
from tests.cluster.conftest import Command
from tests.engine.held import wait_for

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


@pytest.fixture
def agentd(engine: Engine) -> Iterator[AgentdProcess]:
    settings = ("--containerizers=docker,native", f"--docker-socket={engine.socket}", "--docker-call-timeout=5s")
    with running_agentd(*settings) as running:
        yield running


def doctor(agentd: AgentdProcess, *, min_age: str = "0s") -> list[dict[str, str]]:
    return doctor_of(f"{agentd.directory}/state", min_age=min_age)


def doctor_of(state_dir: str, *, min_age: str = "0s") -> list[dict[str, str]]:
    words = ["doctor", "-o", "json", f"--min-age={min_age}", f"--state-dir={state_dir}"]
    done = subprocess.run([sys.executable, "-m", "paddock.cli", *words], capture_output=True, check=False)
    assert done.stdout, done.stderr
    return [each for each in json.loads(done.stdout) if each["kind"].startswith("engine")]


def test_an_engine_is_told_well_hung_and_gone(agentd: AgentdProcess, hurt_engine: Engine) -> None:
    (found,) = doctor(agentd)
    assert (found["verdict"], found["name"]) == ("fine", str(hurt_engine.socket))
    assert "cgroup driver cgroupfs, storage overlay2" in found["why"]
    assert "docker engine 20." in found["why"]
    hurt_engine.pause()
    said = agentd.directory / "state/engine"
    # It asks three times, and waits each time as long as it may.
    deadline_s = time.monotonic() + 2 * PATIENCE_S
    while "unresponsive" not in said.read_text("utf-8"):
        assert time.monotonic() < deadline_s, "agentd does not find out"
        time.sleep(0.05)
    (found,) = doctor(agentd)
    assert found["verdict"] == "wrong"
    assert "it does not answer within" in found["why"]
    assert "agentd says: docker engine unresponsive since 20" in found["why"]
    hurt_engine.kill()
    (found,) = doctor(agentd)
    assert "it does not listen (Connection refused)" in found["why"]
    assert "start the Docker engine" in found["remedy"]


def test_what_nobody_holds_in_the_engine_is_named_and_agentd_takes_it_at_its_start(
    agentd: AgentdProcess, engine: Engine
) -> None:
    agent_id = agentd.agent_id
    name = f"paddock-{agent_id}-lost"
    labels = {"paddock.agent-id": agent_id, "paddock.container-id": "lost"}

    def lose(api: docker.APIClient) -> None:
        host = api.create_host_config(cgroup_parent=f"/paddock-{agent_id}/lost")
        api.create_container(images.BUSYBOX, ["true"], name=name, labels=labels, host_config=host)

    def start() -> None:
        """It looks once, when the engine first answers it: a moment after its start."""
        agentd.start()
        with images.client(engine) as api:
            wait_for(lambda: not api.containers(all=True, filters={"name": name}), "it is not taken")

    agentd.stop()
    with images.client(engine) as api:
        lose(api)
        start()
        lose(api)
        foreign = api.create_container(images.BUSYBOX, ["true"], labels={**labels, "paddock.agent-id": "no-such"})
    try:
        found = {each["name"]: each for each in doctor(agentd)}
        assert found[name]["verdict"] == "wrong"
        assert "created, and no shim holds it" in found[name]["why"]
        assert {each["verdict"] for each in doctor(agentd, min_age="1h") if each["name"] == name} == {"waits"}
        assert [each["agent_id"] for each in found.values() if each["verdict"] == "foreign"] == ["no-such"]
        agentd.stop()
        start()
        assert name not in {each["name"] for each in doctor(agentd)}
    finally:
        with images.client(engine) as api:
            api.remove_container(foreign["Id"])


def test_what_stays_in_the_engine_of_an_agent_that_runs_docker_no_more_is_told_until_it_does(engine: Engine) -> None:
    host = OneHost.make(agent_arguments=[])
    config, paddock = Path(host.directory, "empty.toml"), Command(host=host)

    def run(*types: str) -> None:
        config.write_text(f"containerizers = {json.dumps(types)}\ndocker_socket = {json.dumps(str(engine.socket))}\n")
        host.agentd.start()
        paddock.until_registered()

    def verdicts() -> list[tuple[str, str]]:
        found = doctor_of(f"{host.directory}/agent")
        return [(each["verdict"], each["remedy"]) for each in found if each["kind"] == "engine container"]

    try:
        host.start()
        host.agentd.stop()
        run("docker", "native")
        running = paddock.start(
            "run", "--name=stays", f"--docker={images.BUSYBOX}", "--network=none", "--", "sleep", "999"
        )
        task = paddock.task("stays", "running")
        host.agentd.stop()
        run("native")
        assert verdicts() == [("fine", "")]
        paddock.text("kill", task)
        running.communicate(timeout=PATIENCE_S)
        ((verdict, remedy),) = verdicts()
        assert verdict == "wrong"
        assert "docker among its --containerizers" in remedy
        host.agentd.stop()
        run("docker", "native")
        deadline_s = time.monotonic() + PATIENCE_S
        while verdicts():
            assert time.monotonic() < deadline_s, "agentd leaves it there"
            time.sleep(0.1)
        host.agentd.stop()
        run("native")
        assert doctor_of(f"{host.directory}/agent") == [], "nothing of it is in an engine"
    finally:
        host.stop()
