"""What happens by hand in a scenario, each at its time: operators' calls, frameworks without laws, and expectations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from masterd.simulation.by_hand import Frameworks
from masterd.simulation.cluster import Cluster
from masterd.simulation.expectations import Expectations
from masterd.simulation.fields import Fields
from masterd.simulation.operators import Operator
from masterd.simulation.reading import Reader, find
from paddock.model.errors import InvalidRequest, PaddockError

OPERATIONS = (
    "update_quota",
    "update_weights",
    "reserve_resources",
    "unreserve_resources",
    "drain_agent",
    "cancel_drain",
    "deactivate_agent",
    "reactivate_agent",
    "mark_agent_gone",
    "teardown",
    "framework",
    "framework_disconnects",
    "hold_offers",
    "offers",
    "launch",
    "expect_agent",
    "expect_framework",
    "expect_offers_to",
    "expect_quota",
    "expect_rescinded",
    "expect_role",
    "expect_task_update",
    "expect_weights",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """At `at_s` an operation, and with what it is called. `place`: where it stands in the file."""

    at_s: float
    operation: str
    arguments: Mapping[str, object]
    place: str


def parse_step(content: object, place: str) -> PlannedStep:
    """Raises InvalidRequest naming the first fault."""
    fields = Fields(content, place)
    at_s = fields.time_s("at_s", None)
    found = [name for name in OPERATIONS if fields.has(name)]
    fields.finish()
    if len(found) != 1:
        raise InvalidRequest(place, content, "a step is at_s and one operation with what it is about")
    where = fields.at(found[0])
    arguments = Reader().arguments(find(found[0], (Operator, Frameworks, Expectations)), fields.raw(found[0]), where)
    return PlannedStep(at_s=at_s, operation=found[0], arguments=arguments, place=where)


class Hands:
    """Take the steps in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        expectations = Expectations(cluster)
        self._hearers = (Operator(cluster), Frameworks(cluster, expectations), expectations)

    def take(self, step: PlannedStep) -> None:
        """Raises PaddockError naming the step: the master refused it, or what was seen is not what was expected."""
        operation = find(step.operation, self._hearers)
        assert callable(operation), step
        try:
            wrong = operation(**step.arguments)
        except PaddockError as error:
            wrong = str(error)
        if wrong:
            raise PaddockError(f"{step.place}, after {step.at_s:g} s: {wrong}")
