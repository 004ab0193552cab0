"""How a method refuses: a call that names a wrong value, one that names what is not there, and one that is not the caller's
to make; or why there is none. A method without its row fails tests/cluster/test_refusals.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is there, and root's: a running task, and a framework that is subscribed."""

    agent_id: str
    container_id: str
    task_framework_id: str
    task_id: str
    framework_id: str
    subscription_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """`about`: the field, or the kind of thing. `value`: as it was sent, or the thing's name."""

    request: Message
    about: str = ""
    value: object = ""
    code: str = "INVALID_ARGUMENT"


Case: TypeAlias = Bad | str
"""Or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Of one method."""

    invalid: Case
    unknown: Case
    forbidden: Case


NOTHING_ASKED = "the request has no field that could be wrong"
NOTHING_NAMED = "it names nothing that must be there"
FILTERS = "what it names only filters: nothing fits"
FOR_ALL = "everybody may know"
OWN_ONLY = "what is not the caller's is left out"
NO_RULES = "everybody may until there are rules for roles"
TOOL = "open to tools: it tells what is served, and nothing of whom"
IN_STREAM = "its protocol tells errors in its answers"

NO_SUCH = "no-such"
FAR = 2**62


def page(request: Message, *, forbidden: Case = FOR_ALL, unknown: Case = NOTHING_NAMED) -> Refusals:
    """Of a list."""
    return Refusals(invalid=Bad(request=request, about="page_size", value=-1), unknown=unknown, forbidden=forbidden)
