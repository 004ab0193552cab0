"""What a command's URIs name is in its sandbox when it begins, or the launch says which could not be fetched and why."""

import asyncio
import hashlib
import io
import os
import shutil
import ssl
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, cgroup_points, lent, running_agentd
from tests.kernel.agentd.calling import RUNNING, Caller, calling
from tests.kernel.agentd.web_server import WebServer, serving

# The same code on both versions of cgroups.
pytestmark = pytest.mark.no_cgroups

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[3]
CERTIFICATE = Path(__file__).with_name("tls_certificate.pem")
CACHE_BYTES = 100_000


@pytest.fixture(scope="module")
def fetching_agentd() -> Iterator[AgentdProcess]:
    with running_agentd(f"--fetcher-cache-size={CACHE_BYTES}B", "--fetcher-size-limit=1MiB") as agentd:
        yield agentd


@pytest.fixture
def agentd(fetching_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    with lent(fetching_agentd) as agentd:
        yield agentd


@pytest.fixture
async def agent(agentd: AgentdProcess) -> AsyncIterator[Caller]:
    async with calling(agentd.address) as caller:
        yield caller


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as web:
        yield web


@pytest.fixture
def given(agentd: AgentdProcess) -> Path:
    """A directory of the host's where every user may look."""
    path = agentd.directory / "given"
    path.mkdir(mode=0o755, exist_ok=True)
    path.chmod(0o755)
    return path


def command(line: str, *uris: tasks_pb2.CommandUri, user: str = "") -> tasks_pb2.CommandInfo:
    return tasks_pb2.CommandInfo(shell=True, value=line, uris=uris, user=user)


def uri(value: str, **fields: object) -> tasks_pb2.CommandUri:
    return tasks_pb2.CommandUri(value=value, **fields)  # type: ignore[arg-type]


def archive(**files: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            made.addfile(info, io.BytesIO(content))
    return target.getvalue()


def failure(ended: containers_pb2.Container) -> str:
    assert ended.termination.state == tasks_pb2.TASK_FAILED
    assert ended.termination.reason == tasks_pb2.REASON_CONTAINER_LAUNCH_FAILED
    assert ended.termination.evidence.launch_failure.stage == "fetch"
    return str(ended.termination.evidence.launch_failure.message)


def programs() -> list[int]:
    """Outside programs that run now."""
    found = []
    for name in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes() if name.isdigit() else b""
            if b"agentd.fetcher.work" in words and str(ROOT).encode() in words:
                found.append(int(name))
        except OSError:
            continue
    return found


async def until_none(left: object, what: str) -> None:
    assert callable(left)
    deadline_s = time.monotonic() + 20 * TIME_SCALE
    while found := left():
        assert time.monotonic() < deadline_s, f"{what}: {found}"
        await asyncio.sleep(0.02)


async def test_programs_archives_and_files_are_there_as_the_users(agent: Caller, web: WebServer, given: Path) -> None:
    web.files = {"/tool": b"#!/bin/sh\necho tool as $(id -u)\n", "/a%20b.tar.gz": archive(inner=b"inside\n")}
    web.moved = {"/old": "/tool"}
    plain = given / "plain.tar"
    plain.write_bytes(b"kept as it is")
    ended = await agent.launch(
        command(
            "./tool; cat inner; cat sub/plain.tar; stat -c '%u %a' tool inner sub/plain.tar; ls",
            uri(f"{web.url}/old", executable=True, output_file="tool"),
            uri(f"{web.url}/a b.tar.gz"),
            uri(f"file://{plain}", extract=False, output_file="sub/plain.tar"),
            user="nobody",
        )
    )
    said = (await agent.read(ended, "stdout")).decode()
    assert said == (
        f"tool as {NOBODY}\ninside\nkept as it is"
        f"{NOBODY} 755\n{NOBODY} 755\n{NOBODY} 644\n"
        "inner\nstderr\nstdout\nsub\ntool\n"
    )


async def test_a_file_is_read_with_the_users_rights(agent: Caller, given: Path) -> None:
    secret = given / "secret"
    secret.write_bytes(b"x")
    secret.chmod(0o600)
    message = failure(await agent.launch(command("true", uri(str(secret)), user="nobody")))
    assert str(secret) in message
    assert f"uid {NOBODY} cannot open it: Permission denied" in message
    ended = await agent.launch(command("cat secret", uri(str(secret)), user="root"))
    assert await agent.read(ended, "stdout") == b"x"


@pytest.mark.no_cgroups
async def test_what_cannot_be_fetched_names_uri_and_cause(agent: Caller, web: WebServer, tmp_path: Path) -> None:
    web.files = {"/x": b"content", "/short": b"x" * 1000, "/big": b"x" * (2**20 + 1), "/broken.tgz": b"no archive"}
    web.short = {"/short"}
    web.moved = {"/secret": "file:///etc/shadow", "/round": "/round"}
    os.mkfifo(tmp_path / "fifo")
    digest = "sha256:" + "0" * 64
    cases = {
        f"{web.url}/missing": "answered 404",
        "http://127.0.0.1:1/x": "cannot be reached: [Errno 111]",
        f"{web.url}/short": "sent 500 of 1000 bytes",
        f"{web.url}/big": "larger than 1048576 bytes",
        f"{web.url}/broken.tgz": "is no tar.gz archive",
        f"{web.url}/secret": "answered 302",
        f"{web.url}/round": "answered 302",
        f"{tmp_path}/fifo": "no regular file",
        f"{tmp_path}/nothing": "No such file",
    }
    asked = [agent.launch(command("true", uri(value))) for value in cases]
    asked.append(agent.launch(command("true", uri(f"{web.url}/x", checksum=digest))))
    for (value, cause), ended in zip(
        [*cases.items(), (f"{web.url}/x", f"and {digest} was asked for")], await asyncio.gather(*asked), strict=True
    ):
        message = failure(ended)
        assert message.startswith(f"{value}: ")
        assert cause in message


@pytest.mark.no_cgroups
async def test_waiting_tasks_share_one_download_and_later_ones_the_cache(agent: Caller, web: WebServer) -> None:
    content = archive(**{f"f{number}": os.urandom(200) for number in range(100)})
    web.files, web.held = {"/s.tgz": content}, {"/s.tgz"}
    digest = hashlib.sha512(content).hexdigest()
    wanted = uri(f"{web.url}/s.tgz", cache=True, checksum=f"sha512:{digest}")
    count = "cat f* | wc -c"
    waiting = [asyncio.create_task(agent.launch(command(count, wanted))) for _ in range(5)]
    assert await asyncio.to_thread(web.asked.wait, 20 * TIME_SCALE)
    deadline_s = time.monotonic() + 20 * TIME_SCALE
    while [each.state for each in await agent.list()] != [containers_pb2.CONTAINER_FETCHING] * 5:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    web.release.set()
    for ended in await asyncio.gather(*waiting):
        assert await agent.read(ended, "stdout") == b"20000\n"
    ended = await agent.launch(command(count, wanted))
    assert await agent.read(ended, "stdout") == b"20000\n"
    assert web.counts["/s.tgz"] == 1
    # Another user's is another's.
    await agent.launch(command(count, wanted, user="nobody"))
    assert web.counts["/s.tgz"] == 2


@pytest.mark.no_cgroups
async def test_a_kept_copy_that_is_not_what_is_wanted_is_fetched_anew(agent: Caller, web: WebServer) -> None:
    web.files = {"/v": b"old"}
    await agent.launch(command("true", uri(f"{web.url}/v", cache=True)))
    web.files = {"/v": b"new"}
    kept = await agent.launch(command("cat v", uri(f"{web.url}/v", cache=True)))
    assert await agent.read(kept, "stdout") == b"old"
    checksum = f"sha256:{hashlib.sha256(b'new').hexdigest()}"
    fresh = await agent.launch(command("cat v", uri(f"{web.url}/v", cache=True, checksum=checksum)))
    assert await agent.read(fresh, "stdout") == b"new"
    assert web.counts["/v"] == 2


@pytest.mark.no_cgroups
async def test_the_cache_keeps_its_bound(agentd: AgentdProcess, agent: Caller, web: WebServer) -> None:
    web.files = {f"/e{number}": bytes(40_000) for number in range(4)}
    for path in web.files:
        await agent.launch(command("true", uri(web.url + path, cache=True)))
    sizes = [entry.stat().st_size for entry in os.scandir(agentd.directory / "state" / "fetched")]
    assert 0 < sum(sizes) <= CACHE_BYTES


@pytest.mark.no_cgroups
async def test_a_fetch_has_its_place_and_a_kill_ends_it_at_once(
    agentd: AgentdProcess, agent: Caller, web: WebServer
) -> None:
    web.files, web.held = {"/h": b"x" * 1000}, {"/h"}
    work = asyncio.create_task(agent.launch(command("true", uri(f"{web.url}/h", cache=True), user="nobody")))
    assert await asyncio.to_thread(web.asked.wait, 20 * TIME_SCALE)
    (pid,) = programs()
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in status
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert f"/paddock-{agentd.agent_id}/.programs\n" in Path(f"/proc/{pid}/cgroup").read_text("utf-8")
    # Meanwhile the agent serves.
    assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    (fetching,) = await agent.list()
    await agent.kill(fetching, grace_ms=100_000)
    ended = await work
    assert ended.termination.state == tasks_pb2.TASK_KILLED
    assert ended.termination.reason == tasks_pb2.REASON_TASK_KILLED_DURING_LAUNCH
    assert programs() == []
    assert not [name for name in os.listdir(agentd.directory / "state" / "fetched") if name.endswith(".new")]
    places = [f"{point}/paddock-{agentd.agent_id}/.programs" for point in cgroup_points()]
    await until_none(lambda: list(filter(os.path.isdir, places)), "left")


@pytest.mark.no_cgroups
async def test_an_agent_that_dies_in_the_middle_leaves_nothing_half_done(agentd: AgentdProcess, web: WebServer) -> None:
    web.files, web.held = {"/d": b"x" * 1000}, {"/d"}
    async with calling(agentd.address) as agent:
        work = asyncio.create_task(agent.launch(command("touch ran", uri(f"{web.url}/d", cache=True)), until=RUNNING))
        assert await asyncio.to_thread(web.asked.wait, 20 * TIME_SCALE)
        (fetching,) = await agent.list()
        agentd.crash()
        await asyncio.gather(work, return_exceptions=True)
    await until_none(programs, "the fetch outlived its agent")
    agentd.start()
    async with calling(agentd.address) as agent:
        ended = await agent.wait(fetching)
        assert ended.termination.state == tasks_pb2.TASK_DROPPED
        assert "the command never ran" in ended.termination.message
        assert not Path(fetching.sandbox, "ran").exists()
        assert not [name for name in os.listdir(agentd.directory / "state" / "fetched") if name.endswith(".new")]


@pytest.fixture
def trusting_agentd(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentdProcess]:
    """It trusts the one certificate of these tests, which its tasks' users can read."""
    with tempfile.TemporaryDirectory(prefix="paddock-tls-") as path:
        Path(path).chmod(0o755)
        shutil.copy(CERTIFICATE, path)
        monkeypatch.setenv("SSL_CERT_FILE", f"{path}/{CERTIFICATE.name}")
        with running_agentd() as agentd:
            yield agentd


@pytest.mark.no_cgroups
async def test_https_is_fetched_from_whom_is_trusted_and_from_nobody_else(
    trusting_agentd: AgentdProcess, agentd: AgentdProcess
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    with serving(tls) as web:
        web.files = {"/x": b"in private"}
        wanted = command("cat x", uri(f"{web.url}/x"), user="nobody")
        async with calling(trusting_agentd.address) as agent:
            ended = await agent.launch(wanted)
            assert await agent.read(ended, "stdout") == b"in private"
        async with calling(agentd.address) as agent:
            assert "CERTIFICATE_VERIFY_FAILED" in failure(await agent.launch(wanted))
        assert web.counts["/x"] == 1


@pytest.fixture
def impatient_agentd(request: pytest.FixtureRequest) -> Iterator[AgentdProcess]:
    with running_agentd(request.param) as agentd:
        yield agentd


@pytest.mark.parametrize(
    ("impatient_agentd", "silence", "drip"),
    [
        (
            "--fetcher-stall-timeout=4s",  # a server here may be late by seconds, and must not be taken for one that is silent
            "no byte came for 4 s",
            "fewer than 1024 bytes/s (--fetcher-least-speed) for 4 s (--fetcher-stall-timeout)",
        ),
        ("--fetcher-timeout=300ms", "had 0.3 s (--fetcher-timeout)", "had 0.3 s (--fetcher-timeout)"),
    ],
    indirect=["impatient_agentd"],
)
@pytest.mark.no_cgroups
async def test_a_server_that_falls_silent_or_drips_is_given_up(
    impatient_agentd: AgentdProcess, silence: str, drip: str, web: WebServer
) -> None:
    web.files = dict.fromkeys(("/silent", "/drip"), b"x" * 1000)
    web.held, web.dripping = {"/silent"}, {"/drip"}
    async with calling(impatient_agentd.address) as agent:
        asked = [agent.launch(command("true", uri(f"{web.url}/{path}"))) for path in ("silent", "drip")]
        silent, dripped = [failure(ended) for ended in await asyncio.gather(*asked)]
        assert silence in silent
        assert drip in dripped
    assert programs() == []
