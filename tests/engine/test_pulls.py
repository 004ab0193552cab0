"""Pulls by our client from a real registry: what comes, what does not and why, and a registry that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from agentd.docker.breaker import BreakerPolicy
from agentd.docker.credentials import Credential
from agentd.docker.failures import EngineUnresponsive, PullFailed, PullProblem
from agentd.docker.images import Images
from agentd.docker.pull_progress import PullProgress
from agentd.docker.pulls import Pulls
from paddock.model.docker import DockerInfo
from paddock.model.errors import NotFound
from paddock.model.image import ImageReference, parse_image
from testbed.engine import images
from testbed.engine.engine import Engine
from tests.engine.asking import HASTY, PATIENT, Asker, asking, until
from tests.engine.registry import PASSWORD, USER, Registry, running_registry

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

OPEN_PORT, CLOSED_PORT, NOBODYS_PORT = 5000, 5001, 5009
KNOWN = Credential(place=f"127.0.0.1:{CLOSED_PORT}", user=USER, password=PASSWORD)
SILENCE_S = 1
# Longer than a busy machine takes for a pull that nothing holds up.
LONG_SILENCE_S = 8
SLACK_S = 30


@pytest.fixture(scope="module")
def registries(engine: Engine) -> Iterator[tuple[Registry, Registry]]:
    """Without a password and with one; in each `box:1`."""
    with (
        running_registry(engine, port=OPEN_PORT) as free,
        running_registry(engine, port=CLOSED_PORT, needs_password=True) as closed,
    ):
        with images.client(engine) as api:
            for registry in (free, closed):
                name = f"{registry.address}/box"
                images.build_with(engine, f"{name}:1", {"etc/registry": name})
                assert "digest: sha256:" in api.push(name, "1", auth_config={"username": USER, "password": PASSWORD})
                api.remove_image(f"{name}:1")
        yield free, closed


@pytest.fixture
def free(registries: tuple[Registry, Registry]) -> Registry:
    return registries[0]


@pytest.fixture
async def asker(engine: Engine, registries: tuple[Registry, Registry]) -> AsyncIterator[Asker]:
    """Whatever came is taken away again, so that the next test has to pull it."""
    async with asking(engine.socket, replace(PATIENT, pull_silence_s=SLACK_S)) as found:
        yield found
    with images.client(engine) as api:
        for each in api.images():
            for name in [*(each["RepoTags"] or []), *(each["RepoDigests"] or [])]:
                if name.startswith("127.0.0.1:"):
                    with suppress(docker.errors.ImageNotFound):  # its digests go with its last tag
                        api.remove_image(name)


def impatient(asker: Asker) -> Pulls:
    asker.calls.limits = replace(asker.calls.limits, pull_silence_s=LONG_SILENCE_S)
    return Pulls(asker.calls)


def in_registry(port: int, rest: str = "box:1") -> ImageReference:
    return parse_image(f"127.0.0.1:{port}/{rest}")


def nobody(_: PullProgress) -> None:
    return


async def failure(pulls: Pulls, image: ImageReference, credential: Credential | None = None) -> PullFailed:
    with pytest.raises(PullFailed) as failed:
        await pulls.pull(image, credential, nobody)
    assert str(failed.value).startswith(f"cannot pull image {image.canonical}: ")
    return failed.value


async def test_an_image_comes_by_tag_and_by_digest_and_its_progress_is_told(asker: Asker, engine: Engine) -> None:
    heard: list[PullProgress] = []
    image = in_registry(OPEN_PORT)
    with pytest.raises(NotFound):
        await asker.engine.inspect_image(image)
    await Pulls(asker.calls).pull(image, None, heard.append)
    found = await asker.engine.inspect_image(image)
    (digest,) = found.digests
    assert (heard[-1].have_count, heard[-1].layers_count) == (1, 1)
    assert heard[-1].current_bytes == heard[-1].total_bytes
    by_digest = parse_image(digest)
    assert by_digest.digest
    await Pulls(asker.calls).pull(by_digest, None, nobody)
    assert (await asker.engine.inspect_image(by_digest)).image_id == found.image_id


async def test_a_pull_brings_what_the_registry_has_now(asker: Asker, engine: Engine, free: Registry) -> None:
    image = in_registry(OPEN_PORT, "changing:1")
    ids = set()
    for built in (images.BUSYBOX, images.ODD):
        with images.client(engine) as api:
            api.tag(built, f"{free.address}/changing", "1")
            api.push(f"{free.address}/changing", "1")
            if built == images.ODD:
                api.tag(images.BUSYBOX, f"{free.address}/changing", "1")
        await Pulls(asker.calls).pull(image, None, nobody)
        ids.add((await asker.engine.inspect_image(image)).image_id)
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("box:none-such", PullProblem.UNKNOWN_IMAGE),
        ("none-such:1", PullProblem.UNKNOWN_IMAGE),
        (f"box@sha256:{'0' * 64}", PullProblem.UNKNOWN_IMAGE),
    ],
)
async def test_what_the_registry_does_not_have_is_unknown(asker: Asker, rest: str, problem: PullProblem) -> None:
    error = await failure(Pulls(asker.calls), in_registry(OPEN_PORT, rest))
    assert error.problem is problem
    assert "name a tag or digest that the registry has" in str(error)


async def test_a_password_is_needed_and_has_to_be_right(asker: Asker) -> None:
    pulls = Pulls(asker.calls)
    image = in_registry(CLOSED_PORT)
    wrong = Credential(place=KNOWN.place, user=USER, password="wrong secret")
    for credential in (None, wrong):
        error = await failure(pulls, image, credential)
        assert error.problem is PullProblem.DENIED
        assert "has the registry's password" in str(error)
        assert "wrong secret" not in str(error)
    await pulls.pull(image, KNOWN, nobody)
    assert (await asker.engine.inspect_image(image)).tags == (str(image),)


async def test_a_file_of_passwords_that_cannot_be_used_denies_the_image_and_is_named(
    asker: Asker, tmp_path: Path
) -> None:
    """The registry is not asked, and no engine has refused anything."""
    config = tmp_path / "config.json"
    config.write_text('{"credsStore": "pass"}')
    config.chmod(0o600)
    brought = Images(asker.engine, Pulls(asker.calls), str(config))
    with pytest.raises(PullFailed, match=f"cannot pull image .*{config}: credsStore: 'pass'") as failed:
        await brought.bring(DockerInfo(image=in_registry(CLOSED_PORT)), lambda _words: None)
    assert failed.value.problem is PullProblem.DENIED


async def test_a_registry_that_is_not_there_is_unreachable(asker: Asker) -> None:
    error = await failure(Pulls(asker.calls), in_registry(NOBODYS_PORT))
    assert error.problem is PullProblem.REGISTRY_UNREACHABLE
    assert "connection refused" in str(error)


async def test_a_hung_registry_fails_its_own_pulls_after_the_time_out_and_no_others(
    asker: Asker, free: Registry
) -> None:
    pulls = impatient(asker)
    free.pause()
    try:
        # As many again wait for their turn at this registry.
        count = asker.calls.limits.pulls_per_registry_count * 2
        hung = [asyncio.create_task(failure(pulls, in_registry(OPEN_PORT, f"box:{n}"))) for n in range(count)]
        await asyncio.sleep(0.1)
        await pulls.pull(in_registry(CLOSED_PORT), KNOWN, nobody)
        assert not all(task.done() for task in hung), "the other registry's was done meanwhile"
        errors = await asyncio.gather(*hung)
        assert {error.problem for error in errors} == {PullProblem.TIMED_OUT}
        assert f"127.0.0.1:{OPEN_PORT} brought nothing for {LONG_SILENCE_S} s" in str(errors[0])
        assert [state.reachable for state in asker.states] == [True], "the engine is well"
    finally:
        free.resume()
    asker.calls.limits = replace(asker.calls.limits, pull_silence_s=SLACK_S)
    await pulls.pull(in_registry(OPEN_PORT), None, nobody)


async def test_a_pull_as_a_whole_has_its_time_too_and_one_that_nobody_wants_ends(asker: Asker, free: Registry) -> None:
    asker.calls.limits = replace(asker.calls.limits, pull_s=SILENCE_S)
    pulls = Pulls(asker.calls)
    free.pause()
    try:
        error = await failure(pulls, in_registry(OPEN_PORT))
        assert error.problem is PullProblem.TIMED_OUT
        assert "it did not end within 1 s: nothing had come" in str(error)
        unwanted = asyncio.create_task(pulls.pull(in_registry(OPEN_PORT), None, nobody))
        await asyncio.sleep(0.1)
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
    finally:
        free.resume()


async def test_an_image_is_pulled_for_whoever_wants_it_when_another_has_just_given_it_up(
    asker: Asker, free: Registry
) -> None:
    brought = Images(asker.engine, Pulls(asker.calls), None)
    docker = DockerInfo(image=in_registry(OPEN_PORT))
    free.pause()
    try:
        told = asyncio.Event()
        first = asyncio.create_task(brought.bring(docker, lambda _words: told.set()))
        await told.wait()
        first.cancel()
        # It comes in the same turn of the loop, when the pull that is given up is there still.
        second = asyncio.create_task(brought.bring(replace(docker, force_pull=True), lambda _words: None))
        with pytest.raises(asyncio.CancelledError):
            await first
    finally:
        free.resume()
    await second
    assert (await asker.engine.inspect_image(docker.image)).tags == (docker.image.canonical,)


async def test_of_an_image_that_was_there_an_engine_that_hangs_is_told_at_once(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, HASTY) as asker:
        brought = Images(asker.engine, Pulls(asker.calls), None)
        docker = DockerInfo(image=parse_image(images.BUSYBOX))
        asker.calls.limits = PATIENT
        await until(lambda: asker.calls.state.reachable)
        await brought.bring(docker, lambda _words: None)
        asker.calls.limits = HASTY
        hurt_engine.pause()
        await until(lambda: not asker.calls.state.reachable)
        with pytest.raises(EngineUnresponsive, match="cannot inspect image .*was not asked"):
            await brought.bring(docker, lambda _words: None)


async def test_a_hung_engine_is_not_taken_for_a_hung_registry(hurt_engine: Engine, free: Registry) -> None:
    async with asking(hurt_engine.socket, replace(HASTY, breaker=BreakerPolicy(failure_count=1))) as asker:
        await until(lambda: asker.calls.state.reachable)
        asker.calls.limits = replace(asker.calls.limits, pull_silence_s=3)
        hurt_engine.pause()
        with pytest.raises(EngineUnresponsive):
            await Pulls(asker.calls).pull(in_registry(OPEN_PORT), None, nobody)


async def test_an_engine_that_is_killed_in_the_middle_is_told(hurt_engine: Engine, free: Registry) -> None:
    async with asking(hurt_engine.socket, PATIENT) as asker:
        free.pause()
        try:
            pulling = asyncio.create_task(Pulls(asker.calls).pull(in_registry(OPEN_PORT), None, nobody))
            # With its connection to the registry it is in the middle of it.
            await asyncio.sleep(0.3)
            connections, there = Path(f"/proc/{hurt_engine.pid}/net/tcp"), f":{OPEN_PORT:04X} 01 "
            await until(lambda: there in connections.read_text("ascii"))
            hurt_engine.kill()
            with pytest.raises(EngineUnresponsive, match="ended the connection before its answer was whole"):
                await pulling
        finally:
            free.resume()
