"""What a quota may say: guarantees and limits by name, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from masterd.allocator.reservations import ancestors
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resource_text import format_scalar
from paddock.model.resources import MILLI, MILLI_LIMIT, Resource, Resources, Scalar

_LIMIT_MILLI = {"mem": 2**40 * MILLI, "disk": 2**40 * MILLI}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Guarantees are kept free for the role; limits stop it. A name without a limit is unlimited. Thousandths."""

    guarantees_milli: Mapping[str, int] = field(default_factory=dict)
    limits_milli: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.guarantees_milli or self.limits_milli)


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaChange:
    """Guarantees and limits of a role that are to be replaced, each as a whole; None: as they are. Zeros are said."""

    role: str
    guarantees_milli: Mapping[str, int] | None = None
    limits_milli: Mapping[str, int] | None = None

    def applied_to(self, quota: Quota, where: str = "quota") -> Quota:
        """The new one, checked. Raises InvalidRequest naming the first fault."""
        guarantees = quota.guarantees_milli if self.guarantees_milli is None else self.guarantees_milli
        limits = quota.limits_milli if self.limits_milli is None else self.limits_milli
        return checked_quota(self.role, _plain(guarantees), _plain(limits), nested=True, where=where)


def _plain(amounts_milli: Mapping[str, int]) -> Resources:
    """Not normalised: a limit of zero is one."""
    return Resources(tuple(Resource(name=name, value=Scalar(milli=milli)) for name, milli in amounts_milli.items()))


def checked_quota(role: str, guarantees: Resources, limits: Resources, *, nested: bool, where: str = "quota") -> Quota:
    """A quota from outside. Raises InvalidRequest naming the first fault. `nested`: roles below others may have one."""
    check_role(role, f"{where}.role")
    if "/" in role and not nested:
        raise InvalidRequest(f"{where}.role", role, "only roles of the top level can have a quota here")
    quota = Quota(
        guarantees_milli=_checked_amounts(guarantees, f"{where}.guarantees"),
        limits_milli=_checked_amounts(limits, f"{where}.limits"),
    )
    for name, milli in quota.guarantees_milli.items():
        limit_milli = quota.limits_milli.get(name)
        if limit_milli is not None and milli > limit_milli:
            remedy = f"it is above the limit of {format_scalar(limit_milli)}; raise the limit, or leave it out"
            raise InvalidRequest(f"{where}.guarantees.{name}", format_scalar(milli), remedy)
    return Quota(
        guarantees_milli={name: milli for name, milli in quota.guarantees_milli.items() if milli},
        limits_milli=quota.limits_milli,
    )


def _checked_amounts(resources: Resources, where: str) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for resource in resources:
        field_name = f"{where}.{resource.name}"
        value = resource.value
        if not isinstance(value, Scalar) or resource != Resource(name=resource.name, value=value):
            raise InvalidRequest(
                field_name, resource.name, "a quota is of plain amounts: no ranges, sets, reservations"
            )
        if resource.name in amounts:
            raise InvalidRequest(field_name, resource.name, "name it once")
        limit_milli = _LIMIT_MILLI.get(resource.name, MILLI_LIMIT)
        if not 0 <= value.milli <= limit_milli:
            remedy = f"use an amount between 0 and {format_scalar(limit_milli)}"
            raise InvalidRequest(field_name, format_scalar(value.milli), remedy)
        amounts[resource.name] = value.milli
    return amounts


def consumed(reserved_milli: Mapping[str, int], plain_milli: Mapping[str, int]) -> dict[str, int]:
    """What counts against a quota: all that is reserved for the role, used or not, and what it has besides."""
    sums = dict(reserved_milli)
    for name, milli in plain_milli.items():
        sums[name] = sums.get(name, 0) + milli
    return {name: milli for name, milli in sums.items() if milli}


def total_guarantees(quotas: Mapping[str, Quota]) -> dict[str, int]:
    """What all guarantees together need. A role's covers those below it, as far as it goes."""
    needs: dict[str, dict[str, int]] = {}
    paths = {each for role in quotas for each in (role, *ancestors(role))}
    sums: dict[str, int] = {}
    for path in sorted(paths, key=lambda path: (-path.count("/"), path)):
        need = needs.setdefault(path, {})
        for name, milli in (quotas[path].guarantees_milli if path in quotas else {}).items():
            need[name] = max(need.get(name, 0), milli)
        above = next(iter(ancestors(path)), None)
        target = sums if above is None else needs.setdefault(above, {})
        for name, milli in need.items():
            target[name] = target.get(name, 0) + milli
    return sums
