"""A registry without a disk: what a master that starts again finds of all that it has saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from masterd.core.effects import (
    ForgetAgent,
    Save,
    SaveAgent,
    SaveAgentGone,
    SaveAgentResources,
    SaveDeactivated,
    SaveDrain,
    SaveFramework,
    SaveMaintenance,
    SaveQuotas,
    SaveWeights,
)
from masterd.core.recovery import Remembered

_OF_AGENTS = (SaveAgent, SaveDrain, SaveAgentResources, SaveDeactivated)
Record = TypeVar("Record", bound=Save)


class Memory:
    """Holds the last record of each thing, as `masterd.registry.Registry` does, and has its two calls."""

    def __init__(self) -> None:
        self._records: dict[tuple[type[Save], object], Save] = {}

    def write(self, records: Iterable[Save]) -> None:
        """In their order."""
        for record in records:
            match record:
                case ForgetAgent(agent_id=agent_id) | SaveAgentGone(agent_id=agent_id):
                    for kind in (*_OF_AGENTS, SaveAgentGone):
                        self._records.pop((kind, agent_id), None)
                    if isinstance(record, SaveAgentGone):
                        self._records[SaveAgentGone, agent_id] = record
                case SaveFramework(framework=framework):
                    self._records.pop((SaveFramework, framework.framework_id), None)
                    self._records[SaveFramework, framework.framework_id] = record
                case SaveWeights() | SaveQuotas() | SaveMaintenance():
                    self._records[type(record), None] = record
                case _:
                    self._records[type(record), record.agent_id] = record

    def load(self) -> Remembered:
        """All of it that is still of use."""
        changed = [each for each in self._of(SaveAgentResources) if each.resources != each.configured]
        return Remembered(
            agents=tuple(self._of(SaveAgent)),
            agent_resources=tuple(changed),
            frameworks=tuple(self._of(SaveFramework)),
            weights_milli=tuple(each for record in self._of(SaveWeights) for each in record.weights_milli),
            quotas=tuple(each for record in self._of(SaveQuotas) for each in record.quotas),
            gone_agent_ids=tuple(record.agent_id for record in self._of(SaveAgentGone)),
            deactivated_agent_ids=tuple(each.agent_id for each in self._of(SaveDeactivated) if each.deactivated),
            maintenance=tuple(each for record in self._of(SaveMaintenance) for each in record.windows),
            drains=tuple(record for record in self._of(SaveDrain) if record.drain is not None),
        )

    def _of(self, kind: type[Record]) -> list[Record]:
        return [record for record in self._records.values() if isinstance(record, kind)]
