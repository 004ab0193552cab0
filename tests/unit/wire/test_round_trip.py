"""Whatever the model can say comes back the same, through bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.resources import Resources
from paddock.wire import convert
from paddock.wire.v1 import tasks_pb2
from tests.unit.wire import strategies


@dataclass(frozen=True)
class Pair:
    values: st.SearchStrategy[Any]
    to_wire: Callable[[Any], Message]
    from_wire: Callable[[Any], Any]


PAIRS = {
    "task": Pair(strategies.tasks, convert.task_info_to_wire, convert.task_info_from_wire),
    "status": Pair(strategies.statuses, convert.task_status_to_wire, convert.task_status_from_wire),
    "evidence": Pair(strategies.evidence, convert.evidence_to_wire, convert.evidence_from_wire),
    "command": Pair(strategies.commands, convert.command_to_wire, convert.command_from_wire),
    "container": Pair(strategies.containers, convert.container_info_to_wire, convert.container_info_from_wire),
    "kill policy": Pair(strategies.kill_policies, convert.kill_policy_to_wire, convert.kill_policy_from_wire),
    "framework": Pair(strategies.frameworks, convert.framework_info_to_wire, convert.framework_info_from_wire),
    "agent": Pair(strategies.agents, convert.agent_info_to_wire, convert.agent_info_from_wire),
    "master": Pair(strategies.masters, convert.master_info_to_wire, convert.master_info_from_wire),
    "offer": Pair(strategies.offers, convert.offer_to_wire, convert.offer_from_wire),
    "filters": Pair(strategies.filters, convert.filters_to_wire, convert.filters_from_wire),
    "launch": Pair(
        strategies.launches, convert.operation_to_wire, lambda message: convert.operations_from_wire([message])[0]
    ),
    "operation": Pair(strategies.changes, convert.operation_to_wire, convert.operation_from_wire),
    "termination": Pair(strategies.terminations, convert.termination_to_wire, convert.termination_from_wire),
    "statistics": Pair(strategies.statistics, convert.statistics_to_wire, convert.statistics_from_wire),
    "effective limit": Pair(
        strategies.effective_limits, convert.effective_limit_to_wire, convert.effective_limit_from_wire
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_model_survives_the_wire(name: str, data: st.DataObject) -> None:
    pair = PAIRS[name]
    value = data.draw(pair.values)
    message = pair.to_wire(value)
    received = type(message).FromString(message.SerializeToString())
    assert pair.from_wire(received) == value


@given(strategies.resources)
@settings(deadline=None)
def test_resources_survive_the_wire_and_stay_normal(resources: Resources) -> None:
    received = convert.resources_from_wire(convert.resources_to_wire(resources))
    assert received == resources
    assert received.items == resources.items


@given(strategies.limits)
def test_limits_survive_the_wire(limits: Any) -> None:
    message = convert.limits_to_wire(limits) or tasks_pb2.ResourceLimits()
    assert convert.limits_from_wire(message) == limits


def test_a_reason_that_this_version_does_not_know_survives() -> None:
    message = tasks_pb2.TaskStatus(
        task_id="t",
        state=tasks_pb2.TASK_FAILED,
        source=tasks_pb2.STATUS_SOURCE_AGENT,
        reason=tasks_pb2.Reason.ValueType(9_999),
    )
    status = convert.task_status_from_wire(message)
    assert status.reason == 9_999
    assert convert.task_status_to_wire(status).reason == 9_999
