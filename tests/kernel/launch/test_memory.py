"""Memory limits: the main process, a child, and who was killed."""

import os
import re
import signal

from tests.kernel.launch.running import BASE_PYTHON, Agent

EAT = "b = bytearray(256 << 20)"
PYTHON = [BASE_PYTHON, "-I", "-S", "-c"]


def oom_kills(record: dict[str, dict[str, str]]) -> int:
    texts = [text for key, text in record["counters"].items() if "oom_control" in key or "memory.events" in key]
    found = re.search(r"^oom_kill (\d+)$", texts[0], re.MULTILINE)
    assert found
    return int(found[1])


def test_the_main_process_is_killed(shared: Agent) -> None:
    shim = shared.run([*PYTHON, EAT], limits={"memory_bytes": 64 << 20})
    record = shim.record()
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert oom_kills(record) == 1
    assert record["victims"] == [{"pid": record["pid"], "comm": os.path.basename(BASE_PYTHON)[:15], "main": True}]
    assert record["kill"] is None


def test_a_child_is_killed_and_the_main_process_goes_on(shared: Agent) -> None:
    code = f"""
import os
pid = os.fork()
if pid == 0:
    open("/proc/self/comm", "w").write("a,pid=1,uid=0")
    {EAT}
    os._exit(0)
print(os.wait()[1])
"""
    shim = shared.run([*PYTHON, code], limits={"memory_bytes": 64 << 20})
    record = shim.record()
    assert record["wait_status"] == 0
    assert int(shim.stdout()) == signal.SIGKILL
    assert oom_kills(record) == 1
    assert [(victim["comm"], victim["main"]) for victim in record["victims"]] == [("a,pid=1,uid=0", False)]
    assert record["victims"][0]["pid"] != record["pid"]


def test_without_an_oom_kill_there_is_no_victim(shared: Agent) -> None:
    record = shared.run(["true"]).record()
    assert oom_kills(record) == 0
    assert record["victims"] == []


def test_a_limit_too_small_to_start_is_a_launch_failure(shared: Agent) -> None:
    shim = shared.launch(["true"], limits={"memory_bytes": 4096})
    event = shim.failed()
    assert event["stage"] == "limits"
    assert "memory limit" in event["message"]
    assert shim.cgroups() == []


def test_a_live_resize_is_in_order_and_all_or_nothing(shared: Agent) -> None:
    controller, file = shared.machine.memory_limit
    shim = shared.launch([*PYTHON, "b = bytearray(100 << 20); print(1, flush=True); import time; time.sleep(1000)"])
    shim.started()
    while not shim.stdout():
        pass
    path = shim.directory(controller) / file
    pids = shim.directory("pids") / "pids.max"

    write = {"controller": controller, "file": file, "value": str(512 << 20)}
    memsw = {"controller": "memory", "file": "memory.memsw.limit_in_bytes", "value": str(512 << 20)}
    answer = shim.ask("write", writes=[write] if shared.machine.is_v2 else [memsw, write])
    assert answer["ok"], answer
    assert path.read_text().strip() == str(512 << 20)

    refused = {"controller": "pids", "file": "pids.max", "value": "nonsense"}
    raised = {"controller": "pids", "file": "pids.max", "value": "99"}
    lowered = {**write, "value": str(400 << 20)}
    answer = shim.ask("write", writes=[raised, lowered, refused])
    assert not answer["ok"]
    assert answer["error"]["path"] == str(pids)
    assert answer["error"]["value"] == "nonsense"
    assert answer["error"]["errno"] == 22
    assert pids.read_text().strip() == "100"
    assert path.read_text().strip() == str(512 << 20)
    shim.ask("kill", grace_ms=0)
    shim.record()
