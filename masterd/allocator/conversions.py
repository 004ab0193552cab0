"""What becomes of an offer that is accepted: some of it is converted, some is used, the rest goes back."""

from __future__ import annotations

from collections.abc import Sequence

from masterd.allocator.interface import Conversion
from paddock.model.resources import Resources


def converted(resources: Resources, conversions: Sequence[Conversion]) -> Resources:
    """After the conversions, one after the other. ValueError when what one consumes is not there."""
    for conversion in conversions:
        resources = resources - conversion.consumed + conversion.converted
    return resources


def left_over(resources: Resources, launched: Resources) -> Resources:
    """Without what tasks use. More copies of a shared resource than there are may be used: it is never used up.

    ValueError when something else is not there.
    """
    known = [resource for resource in resources if resource.shared]
    for resource in launched:
        single = Resources((resource,))
        if resource.shared and resource in known and not resources.contains(single):
            continue
        resources -= single
    return resources
