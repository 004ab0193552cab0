"""From a container's configuration to its sandbox and its sealed plan: all that a launch needs, and nothing visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.places import Places
from agentd.containerizer.plan_json import plan_json, stand_in_json
from agentd.containerizer.plan_sealer import PlanSealer
from agentd.containerizer.spare_records import spare_id_of
from agentd.isolation import Isolation
from agentd.sandbox import make_sandbox
from isolators.contract import HostFacts
from paddock.kernel import brief_calls
from paddock.launch import protocol
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.launch_plan import LaunchPlan
from paddock.model.task import ContainerType

StandIn = Callable[[ContainerConfig, LaunchPlan], Sequence[str]]
"""What stands in for a container that an engine runs by this plan. Raises what refuses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A plan, sealed, waiting for its launch."""

    config: ContainerConfig
    plan: LaunchPlan
    plan_fd: int


class Preparation:
    """For the isolation thread."""

    def __init__(
        self,
        host: HostFacts,
        places: Places,
        isolation: Isolation,
        launcher: LauncherLink,
        stand_ins: Mapping[ContainerType, StandIn],
    ) -> None:
        """`stand_ins`: for the types that an engine runs."""
        self._host = host
        self._places = places
        self._isolation = isolation
        self._launcher = launcher
        self._stand_ins = stand_ins
        self._sealer = PlanSealer()

    def prepare(self, config: ContainerConfig) -> Ready:
        """Raises what an isolator raises, PlanConflict, ContainerizerError."""
        make_sandbox(config.sandbox, config.user, config.container_id)
        plan = self._isolation.prepare(config)
        stand_in = self._stand_ins.get(config.container.type)
        argv = None if stand_in is None else stand_in(config, plan)
        places = self._places.of(config.container_id, self._host)
        facts = self._launcher.facts
        if argv is None:
            document = plan_json(config, plan, places, facts)
        else:
            document = stand_in_json(config, plan, places, facts, argv)
        spare_id = "" if places.spare_record is None else spare_id_of(places.spare_record)
        ids = [each for each in (config.container_id, config.task_id, spare_id) if each]
        try:
            content = self._sealer.seal(document, ids)
        except protocol.ProtocolError as error:
            raise ContainerizerError(config.container_id, "plan", str(error)) from None
        return Ready(config=config, plan=plan, plan_fd=brief_calls.seal_memory("paddock-plan", content))
