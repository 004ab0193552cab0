"""Every value of the model that the wire can say, for hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from paddock.model.agent import AgentInfo, DomainInfo, MasterInfo
from paddock.model.container import Termination
from paddock.model.docker import (
    DeviceMapping,
    DockerInfo,
    DockerNetwork,
    DockerVolume,
    ExtraHost,
    PortMapping,
    PortProtocol,
    Tmpfs,
)
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.health import Check, CheckStatus, HealthCheck, HealthEvidence, HttpCheck, TcpCheck
from paddock.model.ids import AgentId, ContainerId, FrameworkId, MasterId, OfferId, TaskId
from paddock.model.image import parse_image
from paddock.model.offer import (
    REFUSE_LIMIT_MS,
    CreateVolumes,
    DestroyVolumes,
    Filters,
    GrowVolume,
    Launch,
    Offer,
    Reserve,
    ShrinkVolume,
    Unavailability,
    Unreserve,
)
from paddock.model.offer_terms import CONTAINERIZERS, HOSTNAME, REGION, ZONE, Constraint, OfferTerms, Predicate
from paddock.model.resource_text import Attribute
from paddock.model.resources import (
    MILLI_LIMIT,
    DiskVolume,
    Items,
    Ranges,
    Reservation,
    Resource,
    Resources,
    Scalar,
)
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import (
    CommandInfo,
    ContainerInfo,
    ContainerType,
    CpuEvidence,
    DirectoryUsage,
    DiskEvidence,
    Evidence,
    KillPolicy,
    LaunchFailure,
    LinuxInfo,
    LogPolicy,
    MemoryEvidence,
    OomVictim,
    PidsEvidence,
    ResourceLimits,
    Rlimit,
    StatusSource,
    StopEvidence,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from paddock.model.uri import CommandUri
from paddock.wire.convert.bounds import DURATION_LIMIT_MS, TIME_LIMIT_MS

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ids = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\"), min_size=1, max_size=20
)

task_ids = ids.filter(lambda word: word not in {".", ".."}).map(TaskId)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
agent_ids, container_ids = names.map(AgentId), names.map(ContainerId)
role_words = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
roles = st.just("*") | st.lists(role_words, min_size=1, max_size=3).map("/".join)
counters = st.integers(0, 2**64 - 1)
maybe = st.none() | counters
durations_ms = st.integers(0, 10**11)
times_ns = st.just(0) | st.integers(1, 253_402_300_799 * 10**9)
labels = st.dictionaries(texts.filter(bool), texts, max_size=3).map(lambda d: tuple(sorted(d.items())))
signals = st.integers(1, 64)

spans = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)).map(lambda pair: (min(pair), max(pair)))
ranges = st.lists(spans, max_size=4).map(Ranges.of)
item_sets = st.builds(Items, names=st.frozensets(names, max_size=4))
# At most five of one kind are added up, and the sum has the same limit.
scalars = st.builds(Scalar, milli=st.integers(0, MILLI_LIMIT // 5))
reservations = st.lists(st.tuples(role_words, st.booleans()), max_size=3).flatmap(
    lambda levels: st.tuples(
        *(
            st.builds(
                Reservation,
                role=st.just("/".join(word for word, _ in levels[: depth + 1])),
                principal=texts,
                labels=labels,
                dynamic=st.just(dynamic),
                expires_ms=st.integers(0, TIME_LIMIT_MS) if dynamic else st.just(0),
            )
            for depth, (_, dynamic) in enumerate(levels)
        )
    )
)
volumes = st.builds(DiskVolume, persistence_id=task_ids, principal=texts, container_path=texts, read_only=st.booleans())


def _resources_named(
    name: str, value: st.SearchStrategy[Scalar] | st.SearchStrategy[Ranges]
) -> st.SearchStrategy[Resource]:
    return st.builds(
        Resource,
        name=st.just(name),
        value=value,
        allocation_role=st.just("") | roles,
        reservations=reservations,
        volume=st.none() | volumes,
        revocable=st.booleans(),
        shared=st.booleans(),
        provider_id=texts,
    )


resources = st.lists(
    _resources_named("cpus", scalars)
    | _resources_named("disk", scalars)
    | _resources_named("ports", ranges)
    | st.builds(Resource, name=st.just("ssd"), value=item_sets),
    max_size=5,
).map(Resources.of)
attributes = st.lists(
    st.builds(Attribute, name=names, value=scalars | ranges.filter(lambda r: bool(r.spans)) | texts), max_size=3
).map(tuple)

variable_names = st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1, max_size=10)
environments = st.dictionaries(variable_names, texts, max_size=4).map(lambda d: tuple(d.items()))
users = st.from_regex(r"[a-z][a-z0-9-]{0,8}|", fullmatch=True)
digests = st.sampled_from(["", "sha256:" + "0a" * 32, "sha512:" + "f1" * 64])
uris = st.lists(
    st.builds(
        CommandUri,
        value=st.sampled_from(["/srv/x", "file:///srv/x.tar", "http://example.com:80/é/x.zip?a=b", "https://[::1]/"]),
        executable=st.booleans(),
        extract=st.booleans(),
        cache=st.booleans(),
        output_file=names.filter(lambda name: not name.startswith("std")),
        checksum=digests,
    ),
    max_size=3,
    unique_by=lambda uri: uri.output_file,
).map(tuple)
shell_lines = st.builds(
    CommandInfo, shell=st.just(True), value=texts.filter(bool), environment=environments, user=users, uris=uris
)
programs = st.builds(
    CommandInfo,
    arguments=st.lists(texts.filter(bool), min_size=1, max_size=4).map(tuple),
    environment=environments,
    user=users,
    working_directory=texts,
    uris=uris,
)
commands = shell_lines | programs
kill_policies = st.builds(KillPolicy, signal=signals, grace_period_ms=durations_ms)
rlimits = st.sampled_from(["RLMT_NOFILE", "RLMT_CORE", "RLMT_AS"]).flatmap(
    lambda name: (
        st.just(Rlimit(resource=name))
        | st.tuples(counters, counters).map(lambda pair: Rlimit(resource=name, soft=min(pair), hard=max(pair)))
    )
)
capabilities = st.lists(st.sampled_from(["CAP_CHOWN", "CAP_KILL", "CAP_SYS_PTRACE"]), unique=True).map(tuple)
linux = capabilities.flatmap(
    lambda bounding: st.builds(
        LinuxInfo,
        bounding_capabilities=st.just(bounding),
        effective_capabilities=st.just(bounding[:1]),
        no_new_privileges=st.none() | st.booleans(),
        share_host_pid_namespace=st.booleans(),
    )
) | st.builds(
    LinuxInfo,
    bounding_capabilities=st.none() | capabilities.filter(bool),
    no_new_privileges=st.none() | st.booleans(),
    share_host_pid_namespace=st.booleans(),
)
ports = st.integers(1, 65_535)
paths = st.from_regex(r"(/[a-z][a-z0-9._ é-]{0,5}){1,3}", fullmatch=True)
hostnames = st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)
addresses = st.sampled_from(["127.0.0.1", "::1", "2001:db8::1"])
sizes = st.none() | st.integers(1, 2**63 - 1)
dockers = st.builds(
    DockerInfo,
    image=st.sampled_from(["busybox", "a/b:1", "r.example:5000/x@sha256:" + "0a" * 32]).map(parse_image),
    force_pull=st.booleans(),
    network=st.sampled_from(DockerNetwork),
    network_name=names.filter(lambda name: not name.startswith("_")),
    port_mappings=st.lists(
        st.builds(PortMapping, host_port=ports, container_port=ports, protocol=st.sampled_from(PortProtocol)),
        max_size=2,
    ).map(tuple),
    entrypoint=st.none() | st.lists(texts, max_size=2).map(tuple),
    image_user=st.booleans(),
    privileged=st.booleans(),
    read_only_root=st.booleans(),
    tmpfs=st.lists(st.builds(Tmpfs, path=paths, size_bytes=sizes), max_size=2).map(tuple),
    devices=st.lists(
        st.builds(
            DeviceMapping, host_path=paths, container_path=paths, permissions=st.sampled_from(["r", "rw", "mwr"])
        ),
        max_size=2,
    ).map(tuple),
    volumes=st.lists(
        st.builds(DockerVolume, host_path=paths, container_path=paths, read_only=st.booleans())
        | st.builds(DockerVolume, name=st.just("cache"), container_path=paths, read_only=st.booleans()),
        max_size=2,
    ).map(tuple),
    dns=st.lists(addresses, max_size=2).map(tuple),
    dns_search=st.lists(hostnames | st.just("."), max_size=2).map(tuple),
    dns_options=st.lists(st.sampled_from(["ndots:2", "use-vc"]), max_size=2).map(tuple),
    extra_hosts=st.lists(
        st.builds(ExtraHost, hostname=hostnames, address=addresses | st.just("host-gateway")), max_size=2
    ).map(tuple),
    hostname=st.just("") | hostnames,
    init=st.booleans(),
    shm_size_bytes=sizes,
    parameters=st.dictionaries(st.sampled_from(["cpuset-cpus", "cpuset-mems"]), st.sampled_from(["0", "0-3,5"])).map(
        lambda found: tuple(sorted(found.items()))
    ),
)
containers = st.builds(
    ContainerInfo,
    type=st.sampled_from(ContainerType),
    rlimits=st.lists(rlimits, max_size=3, unique_by=lambda rlimit: rlimit.resource).map(tuple),
    linux=linux,
    docker=st.none() | dockers,
)
positive = st.none() | st.just(-1) | st.integers(1, 2**63 - 1)
limits = st.builds(
    ResourceLimits,
    cpus_milli=st.none() | st.just(-1) | st.integers(1, MILLI_LIMIT),
    memory_bytes=positive,
    swap_bytes=positive | st.just(0),
    pids_count=positive,
)
https = st.builds(
    HttpCheck,
    port=ports,
    path=st.from_regex(r"/[a-z0-9%?=&-]{0,20}", fullmatch=True),
    scheme=st.sampled_from(["http", "https"]),
    statuses=st.lists(st.integers(100, 599), max_size=3).map(tuple),
)
plain_times = {
    "delay_ms": durations_ms,
    "interval_ms": st.integers(100, 10**11),
    "timeout_ms": st.integers(1, 10**11),
}
checks = (
    st.builds(Check, command=texts.filter(bool), **plain_times)
    | st.builds(Check, http=https.map(lambda http: replace(http, statuses=())), **plain_times)
    | st.builds(Check, tcp=st.builds(TcpCheck, port=ports), **plain_times)
)
check_times = {
    **plain_times,
    "grace_ms": durations_ms,
    "failure_count": st.integers(0, 1000),
}
health_checks = (
    st.builds(HealthCheck, command=texts.filter(bool), **check_times)
    | st.builds(HealthCheck, http=https, **check_times)
    | st.builds(HealthCheck, tcp=st.builds(TcpCheck, port=ports), **check_times)
)
log_policies = st.builds(
    LogPolicy,
    file_bytes=st.none() | st.just(-1) | st.integers(2**16, 2**50),
    file_count=st.none() | st.integers(1, 100),
)
tasks = st.builds(
    TaskInfo,
    health_check=st.none() | health_checks,
    check=st.none() | checks,
    task_id=task_ids,
    name=texts,
    agent_id=agent_ids,
    resources=resources,
    command=commands,
    limits=limits,
    container=containers,
    kill_policy=kill_policies,
    max_completion_time_ms=durations_ms,
    labels=labels,
    log_policy=log_policies,
)

victims = st.builds(OomVictim, pid=st.integers(0, 2**22), comm=texts, main=st.booleans())
memory = st.builds(
    MemoryEvidence,
    limit_bytes=maybe,
    peak_bytes=maybe,
    oom_kill_count=counters,
    victims=st.none() | st.lists(victims, max_size=2).map(tuple),
)
cpu = st.builds(CpuEvidence, usage_us=maybe, period_count=maybe, throttled_count=maybe, throttled_us=maybe)
pids = st.builds(PidsEvidence, limit_count=maybe, refused_count=maybe, peak_count=maybe)
usages = st.builds(DirectoryUsage, path=texts, used_bytes=counters)
disk = st.builds(
    DiskEvidence,
    limit_bytes=counters,
    used_bytes=counters,
    largest=st.lists(usages, max_size=5).map(tuple),
    du_duration_ms=counters,
    interval_ms=counters,
    volume=texts,
)
stops = st.builds(StopEvidence, signal=signals, grace_period_ms=counters, took_ms=counters, escalated=st.booleans())
failures = st.builds(
    LaunchFailure,
    stage=texts,
    message=texts,
    operation=texts,
    path=texts,
    value=texts,
    errno=st.integers(0, 200),
)
health_evidence = st.builds(
    HealthEvidence,
    passed=st.booleans(),
    message=texts,
    failed_count=st.integers(0, 2**32 - 1),
    took_ms=counters,
    exit_code=st.none() | st.integers(0, 255),
    http_status=st.none() | st.integers(100, 599),
    output=texts,
)
evidence = st.builds(
    Evidence,
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | signals,
    memory=st.none() | memory,
    cpu=st.none() | cpu,
    pids=st.none() | pids,
    disk=st.none() | disk,
    stop=st.none() | stops,
    launch_failure=st.none() | failures,
    dropped_log_bytes=counters,
    unapplied=st.lists(texts, max_size=2).map(tuple),
    health=st.none() | health_evidence,
)
# Any number: the enum of reasons is open.
reasons = st.integers(0, 2**31 - 1)
statuses = st.builds(
    TaskStatus,
    task_id=task_ids,
    state=st.sampled_from(TaskState),
    source=st.sampled_from(StatusSource),
    reason=reasons,
    message=texts,
    evidence=st.none() | evidence,
    uuid=st.just(b"") | st.binary(min_size=16, max_size=16),
    timestamp_ns=times_ns,
    agent_id=st.just(AgentId("")) | agent_ids,
    container_id=st.just(ContainerId("")) | container_ids,
    healthy=st.none() | st.booleans(),
    check_status=st.none()
    | st.builds(
        CheckStatus,
        exit_code=st.none() | st.integers(0, 255),
        http_status=st.none() | st.integers(100, 599),
        tcp_succeeded=st.none() | st.booleans(),
        message=texts,
        took_ms=counters,
        output=texts,
    ),
)

constraints = st.builds(
    Constraint,
    select=st.sampled_from((HOSTNAME, REGION, ZONE, CONTAINERIZERS, "rack", "ünï")),
    predicate=st.sampled_from([each for each in Predicate if each.takes_value]),
    value=texts.filter(bool),
) | st.builds(Constraint, select=st.just("rack"), predicate=st.sampled_from((Predicate.EXISTS, Predicate.NOT_EXISTS)))
least_amounts = st.dictionaries(st.sampled_from(("cpus", "mem", "ports")), st.integers(0, 2**40), min_size=1).map(
    lambda found: tuple(sorted(found.items()))
)
offer_terms = st.builds(
    OfferTerms,
    role=st.just("a/b"),
    constraints=st.lists(st.lists(constraints, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    minimum=st.none() | st.lists(least_amounts, max_size=2).map(tuple),
)
undemanding_frameworks = st.builds(
    FrameworkInfo,
    framework_id=st.just(FrameworkId("")) | task_ids.map(FrameworkId),
    name=texts,
    roles=st.lists(roles, min_size=1, max_size=3, unique=True).map(tuple),
    user=texts,
    principal=texts,
    capabilities=st.frozensets(st.sampled_from(FrameworkCapability)),
    failover_timeout_ms=durations_ms,
    labels=labels,
    hostname=texts,
    webui_url=texts,
)
frameworks = undemanding_frameworks | st.tuples(undemanding_frameworks, offer_terms).map(
    lambda pair: replace(pair[0], offer_terms=(replace(pair[1], role=pair[0].roles[-1]),))
)
domains = st.builds(DomainInfo, region=texts, zone=texts)
containerizers = st.sampled_from([(), ("native",), ("docker", "native"), ("é" * 100,)])
agents = st.builds(
    AgentInfo,
    agent_id=agent_ids,
    hostname=texts,
    resources=resources,
    boot_id=texts,
    version=texts,
    capabilities=st.lists(texts, max_size=2).map(tuple),
    domain=domains,
    attributes=attributes,
    unix_address=texts,
    tcp_address=texts,
    cgroup_mode=st.sampled_from(["", "v1", "v2", "hybrid"]),
    containerizers=containerizers,
)
masters = st.builds(
    MasterInfo, master_id=task_ids.map(MasterId), address=texts, version=texts, epoch=st.integers(0, 2**63)
)
offers = st.builds(
    Offer,
    offer_id=task_ids.map(OfferId),
    framework_id=task_ids.map(FrameworkId),
    agent_id=agent_ids,
    role=roles,
    resources=resources,
    hostname=texts,
    attributes=attributes,
    domain=domains,
    unix_address=texts,
    tcp_address=texts,
    unavailability=st.none()
    | st.builds(
        Unavailability,
        start_ns=st.integers(1, 2**62),
        duration_ns=st.integers(0, DURATION_LIMIT_MS).map(lambda duration_ms: duration_ms * 10**6),
    ),
    containerizers=containerizers,
)
filters = st.builds(Filters, refuse_ms=st.integers(0, REFUSE_LIMIT_MS))
launches = st.builds(Launch, tasks=st.lists(tasks, max_size=2, unique_by=lambda task: task.task_id).map(tuple))
_some = resources.filter(bool)
_pieces = _some.map(lambda some: some.items[0])
changes = st.one_of(
    st.builds(Reserve, resources=_some, operation_id=texts),
    st.builds(Unreserve, resources=_some, operation_id=texts),
    st.builds(CreateVolumes, volumes=_some, operation_id=texts),
    st.builds(DestroyVolumes, volumes=_some, operation_id=texts),
    st.builds(GrowVolume, volume=_pieces, addition=_pieces, operation_id=texts),
    st.builds(ShrinkVolume, volume=_pieces, by_milli=st.integers(1, MILLI_LIMIT), operation_id=texts),
)
terminations = st.builds(
    Termination,
    wait_status=st.none() | st.integers(0, 65535),
    state=st.sampled_from(TaskState),
    reason=reasons,
    message=texts,
    evidence=evidence,
)
effective_limits = st.builds(
    EffectiveLimit,
    resource=texts,
    asked=texts,
    isolator=texts,
    path=texts,
    planned=texts,
    in_force=st.none() | texts.filter(bool),
    remark=texts,
)
statistics = st.builds(
    ResourceStatistics,
    **{name: maybe for name in ResourceStatistics.__dataclass_fields__ if name not in {"timestamp_ns", "missing"}},
    timestamp_ns=times_ns,
    missing=st.dictionaries(texts, texts, max_size=2).map(lambda d: tuple(sorted(d.items()))),
)
