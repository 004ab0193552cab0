"""What an agent's Docker engine is like, and what it has of ours that nobody holds. Pure.

Nothing is removed here: agentd removes what is its own when it starts, and whenever the engine comes back.
"""

from __future__ import annotations

from collections.abc import Iterator

from paddock.doctor.finding import Finding, Verdict
from paddock.doctor.traces import (
    AgentTraces,
    ContainerTraces,
    Ear,
    EngineContainerTraces,
    EngineTraces,
    HostTraces,
    RecordState,
)

CGROUP_DRIVER = "cgroupfs"
LEAST_FREE_BYTES = 256 << 20
_GIB = 1 << 30


def judge_engine(agent: AgentTraces, *, min_age_s: float) -> Iterator[Finding]:
    """Nothing for an agent without Docker tasks."""
    engine = agent.engine
    if engine is None:
        return
    yield _of_engine(agent, engine)
    for each in engine.containers:
        if each.agent_id == agent.agent_id:
            yield _of_container(agent, each, min_age_s)


def of_unknown_agents(host: HostTraces) -> Iterator[Finding]:
    """What an engine has with the label of an agent of which nothing is known here. An engine may have several agents."""
    known = {agent.agent_id for agent in host.agents if agent.state_dir}
    engines = {agent.engine.socket: agent.engine for agent in host.agents if agent.engine is not None}
    for each in (container for engine in engines.values() for container in engine.containers):
        if each.agent_id not in known:
            why = f"{each.state}; it has the label of an agent that is not known here"
            remedy = f"name its agent's state directory with --state-dir, or `docker rm -f {each.name}`"
            yield Finding(
                agent_id=each.agent_id,
                kind="engine container",
                name=each.name,
                verdict=Verdict.FOREIGN,
                why=why,
                remedy=remedy,
            )


def _of_engine(agent: AgentTraces, engine: EngineTraces) -> Finding:
    def say(verdict: Verdict, why: str, remedy: str = "") -> Finding:
        return Finding(
            agent_id=agent.agent_id, kind="engine", name=engine.socket, verdict=verdict, why=why, remedy=remedy
        )

    if engine.problem:
        said = f"; agentd says: {engine.said}" if engine.said and agent.agentd_pid else ""
        remedy = "start the Docker engine, or end the one that hangs and start it anew; Docker tasks that run go on meanwhile"
        return say(Verdict.WRONG, f"{engine.problem}{said}", remedy)
    if engine.cgroup_driver != CGROUP_DRIVER:
        why = f"its cgroup driver is {engine.cgroup_driver}, which takes containers out of our cgroups: no Docker task starts"
        remedy = f'set "exec-opts": ["native.cgroupdriver={CGROUP_DRIVER}"] in its daemon.json, and start it anew'
        return say(Verdict.WRONG, why, remedy)
    if engine.free_bytes is not None and engine.free_bytes < LEAST_FREE_BYTES:
        why = f"{engine.free_bytes >> 20} MiB are free at {engine.data_root}, where it keeps images and containers"
        return say(Verdict.WRONG, why, "make room there: `docker image prune`, or another disk as its data-root")
    said = f"{engine.said}; " if engine.said and agent.agentd_pid else f"docker engine {engine.version} answers; "
    return say(Verdict.FINE, said + _facts(engine))


def _facts(engine: EngineTraces) -> str:
    free = "" if engine.free_bytes is None else f", {engine.free_bytes / _GIB:.1f} GiB free"
    restore = "on" if engine.live_restore else "off: when it is started anew, its containers end"
    return (
        f"API {engine.api_version}, cgroup driver {engine.cgroup_driver}, storage {engine.storage_driver} at "
        f"{engine.data_root}{free}, live-restore {restore}"
    )


def _of_container(agent: AgentTraces, container: EngineContainerTraces, min_age_s: float) -> Finding:
    def say(verdict: Verdict, why: str, remedy: str = "") -> Finding:
        return Finding(
            agent_id=agent.agent_id,
            kind="engine container",
            name=container.name,
            verdict=verdict,
            why=why,
            remedy=remedy,
        )

    if container.name != f"paddock-{agent.agent_id}-{container.container_id}":
        return say(Verdict.FOREIGN, f"{container.state}; it has this agent's label, and not its name")
    if any(each.container_id == container.container_id and is_held(each) for each in agent.containers):
        return say(Verdict.FINE, f"{container.state}; a shim holds it")
    why = f"{container.state}, and no shim holds it"
    if container.age_s < min_age_s:
        remedy = f"look again when it is {min_age_s:.0f} s old"
        return say(Verdict.WAITS, f"{why}; made {container.age_s:.0f} s ago", remedy)
    if not agent.agentd_pid:
        return say(Verdict.WAITS, why, "agentd removes it when it starts with docker among its --containerizers")
    remedy = f"start agentd anew with docker among its --containerizers, which removes it, or `docker rm -f {container.name}`"
    return say(Verdict.WRONG, why, remedy)


def is_held(container: ContainerTraces) -> bool:
    """Somebody who will see to its end lives."""
    return bool(container.shim_pid) or container.record is RecordState.HELD or container.ear is Ear.LISTENS
