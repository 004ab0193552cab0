"""Who asks: frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from paddock.model.ids import NO_FRAMEWORK_ID, FrameworkId
from paddock.model.offer_terms import OfferTerms
from paddock.model.resources import DEFAULT_ROLE


class FrameworkCapability(IntEnum):
    """What the framework understands. The numbers are the wire's."""

    REVOCABLE_RESOURCES = 1
    TASK_KILLING_STATE = 2
    GPU_RESOURCES = 3
    SHARED_RESOURCES = 4
    PARTITION_AWARE = 5
    MULTI_ROLE = 6
    RESERVATION_REFINEMENT = 7
    REGION_AWARE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkInfo:
    """What a subscriber declares. `framework_id` is empty at the first subscription. `user` empty: the caller's."""

    framework_id: FrameworkId = NO_FRAMEWORK_ID
    name: str = ""
    roles: tuple[str, ...] = (DEFAULT_ROLE,)
    user: str = ""
    principal: str = ""
    capabilities: frozenset[FrameworkCapability] = frozenset()
    failover_timeout_ms: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    hostname: str = ""
    webui_url: str = ""
    offer_terms: tuple[OfferTerms, ...] = ()
