"""What a stand-in is before it is of use: a process that has to be there before the engine has created a container."""

import subprocess
import sys
from pathlib import Path

import pytest

from agentd.docker.stand_in_order import Order, order_words

BASE_PYTHON = str(Path(sys.executable).resolve())
ROOT = str(Path(__file__).resolve().parents[4])


@pytest.fixture(scope="module")
def modules() -> set[str]:
    """Of one that has come up and asked nothing yet."""
    code = f"import sys; sys.path[:0] = [{ROOT!r}]; import agentd.docker.stand_in; print('\\n'.join(sys.modules))"
    found = subprocess.run([BASE_PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


@pytest.mark.parametrize(
    "dear",
    [
        *("json", "enum", "re", "signal", "socket", "typing", "dataclasses", "asyncio", "docker"),
        *("agentd.docker.engine_life", "agentd.docker.unheard_start", "agentd.docker.plain_json", "resource", "struct"),
    ],
)
def test_what_costs_a_start_its_time_is_not_imported_for_it(modules: set[str], dear: str) -> None:
    assert "agentd.docker.stand_in" in modules
    assert dear not in modules


def test_an_order_arrives_as_it_was_given() -> None:
    reads = [("memory/memory.stat", "/sys/fs/cgroup/a b", "memory.stat"), ("pids/pids.events", "", "pids.events")]
    for has_init in (True, False):
        words = order_words(
            socket="/s", api="1.41", go="/d/c.go", wake="/d/c.wake", note="/d/c.note", reads=reads, has_init=has_init
        )
        order = Order(words)
        assert (order.socket, order.api, order.go, order.wake) == ("/s", "1.41", "/d/c.go", "/d/c.wake")
        assert (order.note, order.has_init, order.reads) == ("/d/c.note", has_init, reads)
