"""The tests' engine itself: it runs containers, can be hurt in every way, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.engine import images, names, remains
from testbed.engine.engine import Engine, running_engine
from tests import leftovers
from tests.engine.registry import running_registry

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


def run(engine: Engine, *words: str, image: str = images.BUSYBOX, **settings: Any) -> str:
    """A container that was started; its id."""
    with images.client(engine) as api:
        host = api.create_host_config(**settings)
        # As PID 1 of its namespace it would not hear SIGTERM, and be waited for.
        container = api.create_container(image, command=list(words), host_config=host, stop_signal="SIGKILL")
        api.start(container["Id"])
        return str(container["Id"])


def state(engine: Engine, container: str) -> tuple[bool, int]:
    with images.client(engine) as api:
        told = api.inspect_container(container)["State"]
        return told["Running"], told["ExitCode"]


def output(engine: Engine, container: str) -> bytes:
    with images.client(engine) as api:
        api.wait(container)
        return bytes(api.logs(container))


def ping(engine: Engine, *, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    request = "GET /_ping HTTP/1.0\\r\\n\\r\\n"
    script = f"import socket; s = socket.socket(1); s.settimeout({timeout_s}); s.connect('{engine.socket}'); "
    script += f"s.send(b'{request}'); print(s.recv(99))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)


def left_of(name: str) -> set[str]:
    return {line for line in leftovers.snapshot() if f"{name}/" in f"{line}/" or f"{name} " in line}


def test_it_runs_the_images_that_it_was_given(engine: Engine) -> None:
    assert output(engine, run(engine, "id", "-u")) == b"0\n"
    odd = output(engine, run(engine, "a", "b c", image=images.ODD))
    assert odd.decode() == "in /a place as guest, COLOUR=light blue:\n<first word>\n<a>\n<b c>\n"


def test_its_containers_are_in_its_own_cgroup_and_its_own_network(engine: Engine) -> None:
    container = run(engine, "sleep", "100")
    with images.client(engine) as api:
        pid = api.inspect_container(container)["State"]["Pid"]
        assert f"/{engine.name}/{container}" in Path(f"/proc/{pid}/cgroup").read_text()
        assert api.info()["CgroupDriver"] == "cgroupfs"
        api.remove_container(container, force=True)
    assert "docker0" not in os.listdir("/sys/class/net")


def test_paused_it_takes_connections_and_does_not_answer(hurt_engine: Engine) -> None:
    assert b"200 OK" in ping(hurt_engine, timeout_s=30).stdout
    hurt_engine.pause()
    assert b"TimeoutError" in ping(hurt_engine, timeout_s=0.3).stderr
    hurt_engine.resume()
    assert b"200 OK" in ping(hurt_engine, timeout_s=30).stdout


def test_with_live_restore_containers_outlive_it(hurt_engine: Engine) -> None:
    hurt_engine.restart(live_restore=True)
    container = run(hurt_engine, "sleep", "100")
    hurt_engine.restart()
    assert state(hurt_engine, container) == (True, 0)
    hurt_engine.kill()
    assert b"ConnectionRefusedError" in ping(hurt_engine, timeout_s=1).stderr
    hurt_engine.start()
    assert state(hurt_engine, container) == (True, 0)
    hurt_engine.restart(live_restore=False)
    assert state(hurt_engine, container) == (False, 128 + signal.SIGKILL)


def test_stopped_paused_with_a_frozen_container_it_leaves_nothing() -> None:
    with running_engine(live_restore=True) as engine:
        images.build_busybox(engine)
        with running_registry(engine) as registry:
            registry.pause()
            frozen = run(engine, "sleep", "100", port_bindings={80: 8000})
            with images.client(engine) as api:
                api.pause(frozen)
            engine.pause()
            assert {line.split()[0] for line in left_of(engine.name)} == {
                "cgroup",
                "mount",
                "process",
                "file",
                "network",
            }
    assert left_of(engine.name) == set()
    assert not remains.processes(engine.name)


def test_what_a_killed_session_left_is_swept_by_the_next_and_a_living_ones_is_not(engine: Engine) -> None:
    script = (
        "from testbed.engine import engine, images; e = engine.Engine(); e.start(); images.build_busybox(e)\n"
        "with images.client(e) as api:\n"
        "    c = api.create_container(images.BUSYBOX, ['sleep', '100']); api.start(c)\n"
        "print(e.name, flush=True); e._process.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        name = session.stdout.readline().strip()
        assert remains.processes(name)
        assert not names.is_abandoned(name)
        assert name not in remains.sweep()
        session.kill()
    assert len(remains.processes(name)) >= 3, "dockerd, containerd and the container's process live on"
    assert name in remains.sweep()
    assert left_of(name) == set()
    assert b"200 OK" in ping(engine, timeout_s=30).stdout


def test_with_no_engine_installed_a_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AssertionError, match="dockerd, containerd, .* missing. 'setup/install test' brings them"):
        Engine().start()


@pytest.mark.parametrize("name", ["paddock-engine-1-2", "paddock-engine-x-1-1", "paddock-agent", "paddock-engine-"])
def test_what_is_not_named_like_an_engine_is_nobodys(name: str) -> None:
    assert not names.is_abandoned(name)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_debian_itself_runs(engine: Engine) -> None:
    images.build_debian(engine)
    assert output(engine, run(engine, "cat", "/etc/debian_version", image=images.DEBIAN)).startswith(b"1")
