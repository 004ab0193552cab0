"""An isolator of somebody else's, from an entry point, passes the suite; one that breaks a promise does not."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from isolators.contract import Isolator
from isolators.testing import IsolatorContract
from paddock.model.container import ContainerConfig
from paddock.model.errors import InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import LaunchPlan
from paddock.model.task import Evidence

ROOT = Path(__file__).parents[3]


class GreetingIsolator(Isolator):
    """All that a small third party needs to write."""

    name = "acme/greeting"

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        if not container.user.home:
            raise InvalidRequest("user", container.user.name, "use one with a home")
        return LaunchPlan(environment=(("GREETING", f"hello {container.container_id}"),))

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        return Evidence()


class TestGreetingIsolator(IsolatorContract):
    isolator_class = GreetingIsolator


PROLOGUE = """
import itertools
from isolators.contract import Isolator
from isolators.testing import IsolatorContract
from paddock.model.launch_plan import CgroupWrite, LaunchPlan

class Breaker(Isolator):
    name = "acme/breaker"
    def __init__(self, host, settings):
        super().__init__(host, settings)
        self.known = {}
"""

# Promise → an isolator that breaks it.
BREAKERS = {
    "test_an_unknown_container_is_no_error": """
    def cleanup(self, container_id): del self.known[container_id]
""",
    "test_a_vanished_container_can_be_asked_anything": """
    def usage(self, container_id): return open("/nonexistent").read()
""",
    "test_preparing_is_deterministic": """
    count = itertools.count()
    def prepare(self, container): return LaunchPlan(environment=(("N", str(next(self.count))),))
""",
    "test_preparing_changes_nothing_outside": """
    def prepare(self, container):
        open(container.sandbox + "/made", "w").close()
        return LaunchPlan()
""",
    "test_the_plan_can_be_carried_out": """
    def prepare(self, container):
        return LaunchPlan(writes=(CgroupWrite(controller="cpu", file="../x", value="1", resource="x"),))
""",
    "test_updating_twice_is_updating_once": """
    count = itertools.count()
    def update(self, container_id, resources, limits): return (next(self.count),)
""",
    "test_any_container_gets_a_plan_or_a_reason": """
    def prepare(self, container): return LaunchPlan() if container.limits.pids_count is None else 1 / 0
""",
    "test_cleaning_up_forgets": """
    def prepare(self, container): self.known[container.container_id] = 1; return LaunchPlan()
    def limits(self, container_id): return tuple(self.known)
""",
    "test_garbage_counters_are_no_error": """
    def prepare(self, container): self.known[1] = 1; return LaunchPlan()
    def evidence(self, container_id, counters): return self.known[2]
""",
}


def test_each_broken_promise_is_found(tmp_path: Path) -> None:
    suite = PROLOGUE
    for number, body in enumerate(BREAKERS.values()):
        suite += f"\nclass Breaker{number}(Breaker):{body}"
        suite += f"\nclass TestBreaker{number}(IsolatorContract):\n    isolator_class = Breaker{number}\n"
    (tmp_path / "test_breaker.py").write_text(suite, encoding="utf-8")
    chosen = " or ".join(f"(TestBreaker{number} and {name} and v1)" for number, name in enumerate(BREAKERS))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            "-rf",
            "-k",
            chosen,
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    for number, name in enumerate(BREAKERS):
        assert f"FAILED test_breaker.py::TestBreaker{number}::{name}[v1]" in done.stdout
    assert f"{len(BREAKERS)} failed" in done.stdout
    assert "passed" not in done.stdout
