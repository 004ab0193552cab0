"""What a caller other than root may not simply ask for: whatever reaches beyond its own uid."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from agentd.config import Settings
from paddock.launch.plan import RLIMIT_NUMBERS
from paddock.model.errors import PermissionRefused
from paddock.model.task import ContainerInfo, Rlimit
from paddock.rpc.principal import ROOT_UID

UNLIMITED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """`rlimit_ceilings`: resource → the highest hard limit that users may have. Root may ask for everything."""

    rlimit_ceilings: dict[str, float]
    may_gain_privileges: bool

    @classmethod
    def of(cls, settings: Settings) -> Powers:
        """The agent's own hard limits, which a task has anyway, and what the operator allows beyond them."""
        ceilings = {name: _own_hard_limit(number) for name, number in RLIMIT_NUMBERS.items()}
        for name, allowed in settings.allowed_rlimits:
            ceilings[name] = max(ceilings[name], UNLIMITED if allowed is None else allowed)
        return cls(rlimit_ceilings=ceilings, may_gain_privileges=settings.allow_new_privileges)

    def require(self, caller_uid: int | None, container: ContainerInfo) -> None:
        """Raises PermissionRefused naming field, value and remedy; `caller_uid` None is nobody's."""
        if caller_uid == ROOT_UID:
            return
        asked = container.linux.effective_capabilities
        if asked:
            # With one that sets uids, or reads past permissions, the caller would be root.
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for container.linux.effective_capabilities ({', '.join(asked)}): they are "
                "root's to give; leave them out, or have root launch it"
            )
        if container.linux.no_new_privileges is False and not self.may_gain_privileges:
            # Whatever setuid program this host has would be the caller's way to root, within the bounding set.
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for container.linux.no_new_privileges=false: leave it out, have root "
                "launch it, or have the operator start agentd with --allow-new-privileges=true"
            )
        for index, rlimit in enumerate(container.rlimits):
            self._require_rlimit(caller_uid, rlimit, f"container.rlimits[{index}]")

    def _require_rlimit(self, caller_uid: int | None, rlimit: Rlimit, field: str) -> None:
        """A name that does not exist is the isolator's to refuse."""
        ceiling = self.rlimit_ceilings.get(rlimit.resource, UNLIMITED)
        hard = UNLIMITED if rlimit.hard is None else rlimit.hard
        if hard > ceiling:
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for {field} ({rlimit.resource}, hard limit {_shown(hard)}): the most for "
                f"users is {_shown(ceiling)} here; ask for at most that, have root launch it, or have the operator start "
                f"agentd with --allowed-rlimits={rlimit.resource}={_shown(hard)}"
            )


def _own_hard_limit(number: int) -> float:
    hard = resource.getrlimit(number)[1]
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


def _shown(limit: float) -> str:
    return "unlimited" if limit == UNLIMITED else str(limit)
