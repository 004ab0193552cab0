"""The cases' words for the product's values, both ways; and how an operation of the schema becomes a call of the product's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from masterd.allocator.bundle import Bundle, Kinds
from masterd.simulation.reading import Reader, UnknownWord, find
from paddock.model.errors import PaddockError
from paddock.model.resource_mapping import read_resource
from paddock.model.resource_text import format_label, format_value
from paddock.model.resources import Resource, Resources, Scalar

MESOS: Any = dict.fromkeys(("run_on_recovery", "nested_quota", "decline_backoff"), False)
Words = Mapping[str, Any]
Operation = Callable[..., Any]
NAMES = """
    minimum=min_allocatable,minimums minimums=min_allocatable excluded_from_shares=fair_sharing_excluded held=used added=add
    recovery_share=recovery_factor interval=allocation_interval unavailable_at=start suppressed_roles=suppressed predicate=is
    consumed=from converted=to task_limit=max_tasks weights=weight roles=roles_whitelist who=as one=a two=b bounds=target
"""


def resource_of(key: Any, size: float | str = 1, place: str = "bundle") -> Resource:
    label = re.sub(r"@([^!~#&]+)", r"(\1)", key)
    text = isinstance(size, str) and re.sub(r"(?<![\d-])(\d+)(?![\d-])", r"\1-\1", size.replace(" ", ""))
    return read_resource(label, size if text is False else f"[{text}]", place)


def resources_of(bundle: Any, place: str = "bundle") -> Resources:
    """Zeros are kept, and what is below: what becomes of them is the product's word."""
    found: list[Resource] = []
    for key, said in bundle.items():
        size, copies = (said["size"], said["copies"]) if isinstance(said, dict) else (said, 1)
        found += [resource_of(key, size, place)] * copies
    return Resources(tuple(found))


def bundle_of(found: Iterable[Resource]) -> Words:
    bundle: dict[str, Any] = {}
    for resource, copies in Counter(found).items():
        key = re.sub(r"\((.*)\)", r"@\1", format_label(resource))
        assert key not in bundle, f"the cases have no word for two of {key}"
        value = resource.value
        size = value.milli / 1000 if isinstance(value, Scalar) else format_value(value).strip("[]")
        bundle[key] = {"size": size, "copies": copies} if resource.shared else size
    return bundle


def units(amounts: Any) -> Any:
    return {name: units(each) for name, each in amounts.items()} if isinstance(amounts, Mapping) else amounts / 1000


ALL_KINDS = Kinds()
CASES = Reader(
    names={ours: theirs.split(",") for ours, theirs in (pair.split("=") for pair in NAMES.split())},
    kinds={
        Resources: resources_of,
        Resource: lambda key, place: resource_of(key, place=place),
        Bundle: lambda bundle, place: ALL_KINDS.bundle(resources_of(bundle, place)),
    },
)


def call(target: Operation, said: Any, **known: Any) -> Any:
    return CASES.call(target, said, getattr(target, "__name__", "case"), **known)


def answer(target: Operation, said: Any, **known: Any) -> tuple[Any, PaddockError | None]:
    """What the product makes of it, or why it does not take it."""
    try:
        return call(target, said, **known), None
    except UnknownWord:
        raise
    except PaddockError as error:
        return None, error


class Case:
    """Each operation is that of the first of its hearers that has it, called with what is said; then all comes to rest."""

    def __init__(self, *hearers: object) -> None:
        self._hearers, self._settled = hearers, getattr(hearers[0], "settled", lambda answer: answer)

    def __getattr__(self, operation: str) -> Operation:
        target: Any = find(operation, self._hearers)
        if target is None:
            raise AttributeError(f"there is no operation {operation}")
        return lambda *said: self._settled(call(target, *said) if len(said) == 1 else target(*said))
