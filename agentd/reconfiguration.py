"""Whether an agent that starts again is still the one that its id names: what the operator configured, then and now.

What was found rather than named is not compared: a new kernel sees a few MiB more or less, and the agent offers what is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from agentd.config import ReconfigurationPolicy, Settings
from paddock.daemon.durable_codec import CodecError, from_bytes, to_bytes
from paddock.kernel.paths import sync_directory
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId
from paddock.model.resource_text import Attribute, format_resources, format_value, named_in, parse_attributes
from paddock.model.resources import Ranges, Resources

FILE_NAME = "agent-configuration"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What a master and its frameworks were told of this agent. `named`: the resources that the operator named."""

    format: int
    resources: Resources
    named: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    region: str
    zone: str


def configured(settings: Settings, resources: Resources) -> Configured:
    """As it is now. `resources`: all, named and found."""
    return Configured(
        format=_FORMAT,
        resources=resources,
        named=tuple(sorted(named_in(settings.resources))),
        attributes=parse_attributes(settings.attributes),
        region=settings.region,
        zone=settings.zone,
    )


def check(settings: Settings, resources: Resources, agent: AgentId) -> None:
    """Reads only. Raises ConfigError with every change that the policy does not allow, and what to do."""
    path = f"{settings.state_dir}/{FILE_NAME}"
    before = _read(path)
    if before is None:
        return
    after = configured(settings, resources)
    changes = differences(before, after, settings.reconfiguration_policy)
    if changes:
        policy = settings.reconfiguration_policy
        allowed = "no change" if policy is ReconfigurationPolicy.EQUAL else "additions only"
        wider = (
            "" if policy is ReconfigurationPolicy.ADDITIVE else "--reconfiguration-policy=additive to allow additions, "
        )
        remedy = (
            f"--reconfiguration-policy={policy.value} allows {allowed}, because frameworks rely on what agent {agent} has. "
            f"Set the old values again; or start with {wider}--reconfiguration-policy=any to allow everything; or drain it "
            f"(paddock drain {agent}) and start with another --state-dir, as a new agent"
        )
        raise ConfigError((*changes, remedy))


def remember(settings: Settings, resources: Resources) -> None:
    """From now on this is what it is. Durable when it returns."""
    path = f"{settings.state_dir}/{FILE_NAME}"
    after = configured(settings, resources)
    if _read(path) == after:
        return
    temporary = f"{path}.new"
    with open(temporary, "wb") as file:
        file.write(to_bytes(after, Configured) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_directory(settings.state_dir)


def differences(before: Configured, after: Configured, policy: ReconfigurationPolicy) -> tuple[str, ...]:
    """Each change that the policy does not allow, in words."""
    if policy is ReconfigurationPolicy.ANY:
        return ()
    only_more = policy is ReconfigurationPolicy.ADDITIVE
    named = {*before.named, *after.named}
    then, now = (
        Resources.of(resource for resource in each.resources if resource.name in named) for each in (before, after)
    )
    found = [
        _change("resources", format_resources(_of(then, name)), format_resources(_of(now, name)))
        for name in sorted(named)
        if not _fits(_of(then, name), _of(now, name), only_more=only_more)
    ]
    found += _attribute_changes(before, after, only_more=only_more)
    for field, old, new in (("region", before.region, after.region), ("zone", before.zone, after.zone)):
        if old != new and not (only_more and not old):
            found.append(_change(field, old, new))
    return tuple(found)


def _of(resources: Resources, name: str) -> Resources:
    return Resources.of(resource for resource in resources if resource.name == name)


def _fits(then: Resources, now: Resources, *, only_more: bool) -> bool:
    return now.contains(then) if only_more else now == then


def _attribute_changes(before: Configured, after: Configured, *, only_more: bool) -> list[str]:
    """By name; one name may come several times."""
    names = dict.fromkeys(attribute.name for attribute in (*before.attributes, *after.attributes))
    return [
        _change("attributes", _shown(before, name), _shown(after, name))
        for name in names
        if not _attribute_fits(_values(before, name), _values(after, name), only_more=only_more)
    ]


def _attribute_fits(then: list[Attribute], now: list[Attribute], *, only_more: bool) -> bool:
    if then == now:
        return True
    return only_more and all(any(_covers(new, old) for new in now) for old in then)


def _covers(new: Attribute, old: Attribute) -> bool:
    if isinstance(new.value, Ranges) and isinstance(old.value, Ranges):
        return new.value.contains(old.value)
    return new.value == old.value


def _values(of: Configured, name: str) -> list[Attribute]:
    return [attribute for attribute in of.attributes if attribute.name == name]


def _shown(of: Configured, name: str) -> str:
    return ";".join(
        f"{each.name}:{each.value if isinstance(each.value, str) else format_value(each.value)}"
        for each in _values(of, name)
    )


def _change(field: str, old: str, new: str) -> str:
    return f"{field}: {old or 'nothing'} became {new or 'nothing'}"


def _read(path: str) -> Configured | None:
    try:
        with open(path, "rb") as file:
            found = from_bytes(file.read(), Configured)
    except (FileNotFoundError, PermissionError):
        return None  # who is not root only checks a configuration, and cannot look
    except (OSError, CodecError) as error:
        remedy = "restore it, or remove it: the agent then takes its configuration as it is now"
        raise ConfigError((f"{path}: {error}; {remedy}",)) from None
    assert isinstance(found, Configured)
    if found.format != _FORMAT:
        remedy = "start the version of agentd that wrote it"
        raise ConfigError((f"{path}: format {found.format}, and this agentd reads {_FORMAT}; {remedy}",))
    return found
