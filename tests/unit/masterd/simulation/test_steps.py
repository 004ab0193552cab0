"""Steps of a scenario: operators, frameworks driven by hand, and expectations, each at its time."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from masterd.simulation.scenario import parse_scenario
from masterd.simulation.steps import OPERATIONS
from masterd.simulation.world import World
from paddock.model.errors import InvalidRequest, PaddockError

BASE = """
name: by-hand
duration_s: 60
agents: [{name: n, count: 2, resources: {cpus: 4, mem: "4GiB", "cpus(x)": 1}}]
frameworks: [{name: a, role: a, refuse_s: 1, phases: [{task: {cpus: 1, mem: 64}, runs_s: 2, wanted: 3}]}]
"""


def run(*steps: dict[str, Any], **more: Any) -> World:
    content = {**yaml.safe_load(BASE), **more, "steps": list(steps)}
    world = World(parse_scenario(yaml.safe_dump(content)))
    world.run()
    return world


def test_operators_change_the_policy_in_the_middle() -> None:
    world = run(
        {"at_s": 5, "update_quota": {"quotas": [{"role": "a", "limits": {"cpus": 2}}], "force": True}},
        {"at_s": 5, "update_weights": {"a": 2.5}},
        {"at_s": 6, "expect_quota": {"role": "a", "limits": {"cpus": 2}}},
        {"at_s": 6, "expect_weights": {"a": 2.5}},
        {"at_s": 30, "expect_role": {"role": "a", "used": {"cpus": 2, "mem": 128}}},
        {"at_s": 40, "deactivate_agent": "n-1"},
        {"at_s": 41, "drain_agent": {"agent": "n-2", "max_grace_s": 1}},
        {"at_s": 50, "expect_role": {"role": "a", "used": {}}},
        {"at_s": 51, "cancel_drain": "n-2"},
        {"at_s": 59, "expect_role": {"role": "a", "used": {"cpus": 2, "mem": 128}}},
    )
    assert all(each.used["cpus"] <= 2 / 10 for each in world.measures.cluster if each.time_s > 10)


def test_reservations_come_and_go() -> None:
    reserved = {"cpus(y)": 1}
    run(
        {"at_s": 5, "drain_agent": "n-1"},
        {"at_s": 10, "cancel_drain": "n-1"},
        {"at_s": 10, "reserve_resources": {"agent": "n-1", "resources": reserved}},
        {"at_s": 11, "expect_role": {"role": "y", "reserved": {"cpus": 1}}},
        {"at_s": 12, "expect_role": {"role": "x", "reserved": {"cpus": 2}}},
        {"at_s": 20, "unreserve_resources": {"agent": "n-1", "resources": reserved}},
        {"at_s": 21, "expect_role": {"role": "y", "reserved": {}}},
    )


def test_a_framework_by_hand_hoards_until_it_is_gone() -> None:
    run(
        {"at_s": 1, "framework": {"id": "hoarder", "roles": ["h"], "failover_timeout": 30, "partition_aware": True}},
        {"at_s": 2, "hold_offers": "hoarder"},
        {
            "at_s": 3,
            "launch": {"framework": "hoarder", "role": "h", "agent": "n-1", "task": "t", "resources": {"cpus": 1}},
        },
        {"at_s": 3, "expect_task_update": {"framework": "hoarder", "task": "t", "state": "TASK_RUNNING"}},
        {"at_s": 4, "expect_framework": {"id": "hoarder", "state": "registered"}},
        {"at_s": 5, "framework_disconnects": "hoarder"},
        {"at_s": 6, "expect_framework": {"id": "hoarder", "state": "disconnected"}},
        {"at_s": 6, "expect_agent": {"id": "n-1", "state": "registered"}},
        {"at_s": 7, "teardown": "hoarder"},
        {"at_s": 8, "expect_framework": {"id": "hoarder", "state": "completed"}},
        {"at_s": 9, "mark_agent_gone": "n-2"},
        {"at_s": 9, "expect_agent": {"id": "n-2", "state": "gone"}},
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"at_s": 30, "expect_weights": {"a": 3}}, r"steps\[0\].expect_weights, after 30 s: it was {'a': 1.0}"),
        ({"at_s": 30, "expect_role": {"role": "a", "used": {}}}, r"steps\[0\].expect_role, .*'cpus': 3.0"),
        ({"at_s": 30, "expect_agent": {"id": "m", "state": "gone"}}, "unknown"),
        ({"at_s": 30, "expect_framework": {"id": "b", "state": "registered"}}, "unknown"),
        (
            {"at_s": 30, "expect_task_update": {"framework": "a", "task": "x", "state": "TASK_LOST"}},
            "heard nothing of x",
        ),
        ({"at_s": 30, "expect_rescinded": {"a": 7}}, "it was {'a': 0}"),
        ({"at_s": 30, "expect_quota": {"role": "a", "limits": {"cpus": 1}}}, "'limits': {}"),
        ({"at_s": 30, "drain_agent": "n-3"}, "after 30 s: agent 'n-3' does not exist"),
        ({"at_s": 30, "update_weights": {"a": 0}}, "weights.a: 0"),
        ({"at_s": 30, "hold_offers": "nobody"}, "nobody is offered nothing"),
    ],
)
def test_what_is_refused_or_not_as_expected_ends_the_simulation_with_its_place(
    step: dict[str, Any], words: str
) -> None:
    with pytest.raises(PaddockError, match=words):
        run(step)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"at_s": 1}, r"steps\[0\]: .*one operation"),
        ({"at_s": 1, "teardown": "a", "cancel_drain": "n-1"}, r"steps\[0\]: .*one operation"),
        ({"at_s": 1, "tear_down": "a"}, r"steps\[0\].tear_down: .*did you mean 'teardown'"),
        ({"at_s": -1, "teardown": "a"}, r"steps\[0\].at_s: -1"),
        ({"at_s": 1, "update_quota": [{"role": "a", "limit": {}}]}, r"steps\[0\].update_quota\[0\].limit: .*'limits'"),
        ({"at_s": 1, "launch": {"framework": "a", "role": "a", "agent": "n-1"}}, r"steps\[0\].launch.task"),
        ({"at_s": 1, "framework": {"id": "a", "roles": ["a"]}}, r"steps\[0\].framework: 'a' .*laws"),
    ],
)
def test_a_mistake_is_named_before_anything_begins(step: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_scenario(yaml.safe_dump({**yaml.safe_load(BASE), "steps": [step]}))


def test_the_page_names_every_operation() -> None:
    from pathlib import Path  # noqa: PLC0415 - of this test only

    page = (Path(__file__).parents[4] / "docs/simulation.md").read_text(encoding="utf-8")
    assert [name for name in OPERATIONS if f"`{name}`" not in page] == []
