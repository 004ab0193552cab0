"""What tells one resource from another, without its amount: interned, so that it is compared by identity."""

from __future__ import annotations

from paddock.model.resources import DEFAULT_ROLE, Resource, Scalar, Value


class Kind:
    """Everything that tells one resource from others of its name. Equal kinds are the same object (see `Kinds`).

    `plain`: any framework understands it. `charged`: it counts against quotas (an unreserved, non-revocable scalar).
    `size_milli` is 0 for what can be divided.
    """

    __slots__ = ("charged", "name", "plain", "refined", "revocable", "role", "sample", "scalar", "shared", "size_milli")

    def __init__(self, sample: Resource) -> None:
        """`sample` carries the fields; of its value only the type counts, and the size of what is whole."""
        self.sample = sample
        self.name = sample.name
        self.role = sample.reserved_role
        self.scalar = isinstance(sample.value, Scalar)
        self.shared = sample.shared
        self.revocable = sample.revocable
        self.refined = len(sample.reservations) > 1
        self.size_milli = sample.value.milli if isinstance(sample.value, Scalar) and is_whole(sample) else 0
        self.plain = not (sample.revocable or sample.shared or self.refined)
        self.charged = self.scalar and self.role == DEFAULT_ROLE and not (sample.revocable or sample.shared)

    def milli(self, amount: int) -> int:
        """How much a scalar's amount is. Copies of a shared one are one and the same thing."""
        if not self.size_milli:
            return amount
        return self.size_milli if self.shared else self.size_milli * amount

    def resource(self, value: Value, role: str) -> Resource:
        """As the model has it, marked as allocated to the role. (`dataclasses.replace` takes twice as long.)"""
        sample = self.sample
        return Resource(
            name=sample.name,
            value=value,
            allocation_role=role,
            reservations=sample.reservations,
            volume=sample.volume,
            revocable=sample.revocable,
            shared=sample.shared,
            provider_id=sample.provider_id,
            indivisible=sample.indivisible,
        )


def is_whole(resource: Resource) -> bool:
    """Whether it goes as it is, or not at all."""
    return isinstance(resource.value, Scalar) and (
        resource.volume is not None or resource.shared or resource.indivisible
    )
