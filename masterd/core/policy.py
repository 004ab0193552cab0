"""Weights and quotas: checked as a whole, made durable, and offers that contradict them taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from masterd.allocator.quota import NO_QUOTA, Quota
from masterd.allocator.reservations import is_strict_subrole
from masterd.core import offers
from masterd.core.authorizer import Action
from masterd.core.effects import SaveQuotas, SaveWeights
from masterd.core.events import QuotasChanged, QuotasUpdated, WeightsChanged
from masterd.core.quota_plan import merged, problems
from masterd.core.rights import check_may
from masterd.core.state import MasterState, Turn
from paddock.model.errors import InvalidRequest
from paddock.model.ids import OfferId


def change_weights(turn: Turn, event: WeightsChanged) -> None:
    """Outstanding offers were made in the old order: take them back, and the next cycle divides anew (Mesos does the same).

    Nobody in any of the roles, or below: nothing was made in that order.
    """
    state = turn.state
    for role, _ in event.weights_milli:
        check_may(state, event.caller, Action.UPDATE_WEIGHT, role, "weights.role")
    weights = dict(event.weights_milli)
    state.weights_milli.update(weights)
    state.allocator.update_weights(weights)
    turn.effects.append(SaveWeights(weights_milli=tuple(sorted(state.weights_milli.items()))))
    if any(_is_below(role, changed) for changed in weights for role in _subscribed_roles(state)):
        for offer_id in list(state.offers):
            offers.rescind(turn, offer_id)


def _subscribed_roles(state: MasterState) -> set[str]:
    return {role for framework in state.frameworks.values() for role in framework.info.roles}


def _is_below(role: str, above: str) -> bool:
    return role == above or is_strict_subrole(role, above)


def change_quotas(turn: Turn, event: QuotasChanged) -> None:
    """All or none. Without `force`, what cannot be honoured is refused: see `quota_plan.problems`."""
    state = turn.state
    for role, _ in event.quotas:
        check_may(state, event.caller, Action.UPDATE_QUOTA, role, "quotas.role")
    changed = dict(event.quotas)
    if len(changed) < len(event.quotas):
        raise InvalidRequest("quotas", len(event.quotas), "name each role once")
    if not event.force:
        for problem in problems(state, changed):
            raise problem
    for role, quota in changed.items():
        if quota:
            state.quotas[role] = quota
        else:
            state.quotas.pop(role, None)
        state.allocator.set_quota(role, quota)
    turn.effects.append(SaveQuotas(quotas=tuple(sorted(state.quotas.items()))))
    for role in changed:
        _rescind_excess(turn, role)
    _rescind_for_guarantees(turn, changed)


def update_quotas(turn: Turn, event: QuotasUpdated) -> None:
    """What a change does not speak of stays as it is now."""
    quotas = tuple(merged(turn.state, event.changes).items())
    change_quotas(turn, QuotasChanged(caller=event.caller, quotas=quotas, force=event.force))


def _rescind_excess(turn: Turn, role: str) -> None:
    """The newest offers of the role, and of those below it, until it is within its limits."""
    for offer_id in _newest_first(turn.state):
        excess = turn.state.allocator.quota_excess(role)
        if not excess:
            return
        entry = turn.state.offers[offer_id]
        if _is_below(entry.offer.role, role) and _has(entry.resources.quantities_milli(), excess):
            offers.rescind(turn, offer_id)


def _rescind_for_guarantees(turn: Turn, changed: Mapping[str, Quota]) -> None:
    """Offers of others, until enough is free for what is guaranteed."""
    for offer_id in _newest_first(turn.state):
        short = turn.state.allocator.guarantee_shortfall()
        if not short:
            return
        entry = turn.state.offers[offer_id]
        owed = any(_is_below(entry.offer.role, role) and quota.guarantees_milli for role, quota in changed.items())
        if not owed and _has(entry.resources.quantities_milli(), short):
            offers.rescind(turn, offer_id)


def _newest_first(state: MasterState) -> Iterable[OfferId]:
    return list(reversed(state.offers))


def _has(quantities: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    return any(quantities.get(name, 0) for name in wanted)


def quota_of(state: MasterState, role: str) -> Quota:
    """The role's, or none."""
    return state.quotas.get(role, NO_QUOTA)
