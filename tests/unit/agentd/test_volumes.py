"""Volumes' directories on a real disk: made, missing, unknown, put out of reach, and emptied without a link followed."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.core.effects import ArrangeVolumes, RemoveVolume
from agentd.core.events import VolumeRemoved, VolumesArranged
from agentd.gc.places import SandboxPlaces
from agentd.gc.remove import Emptying
from agentd.isolation_thread import IsolationThread
from agentd.volumes import VolumeKeeper, VolumePlaces
from paddock.model.ids import AgentId
from paddock.model.volumes import DestroyedVolume, VolumeKey

V1 = VolumeKey(role="eng/web", persistence_id="v1")
OTHER = VolumeKey(role="r", persistence_id="o")


@pytest.fixture
def places(tmp_path: Path) -> VolumePlaces:
    return VolumePlaces(str(tmp_path), AgentId("a"))


def directory(places: VolumePlaces, volume: VolumeKey = V1) -> Path:
    return Path(places.directory(volume))


def test_it_is_nobodys_else_and_reachable_and_made_again_it_is_as_it_was(places: VolumePlaces) -> None:
    before = os.umask(0o077)
    try:
        places.make(V1)
    finally:
        os.umask(before)
    path = directory(places)
    assert str(path) == f"{places.work_dir}/agents/a/volumes/roles/eng web/v1"
    assert path.stat().st_mode & 0o7777 == 0o700
    assert [above.stat().st_mode & 0o7777 for above in list(path.parents)[:3]] == [0o711] * 3
    (path / "kept").touch()
    path.chmod(0o750)
    places.make(V1)
    assert (path / "kept").exists()
    assert path.stat().st_mode & 0o7777 == 0o750


@pytest.mark.parametrize("planted", ["link", "file"])
def test_something_else_in_its_place_is_no_volume(places: VolumePlaces, tmp_path: Path, planted: str) -> None:
    path = directory(places)
    path.parent.mkdir(parents=True)
    if planted == "link":
        path.symlink_to(tmp_path)
    else:
        path.touch()
    assert not places.is_there(V1)
    with pytest.raises(NotADirectoryError):
        places.make(V1)


def test_what_is_put_away_is_emptied_and_no_link_is_followed(places: VolumePlaces, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    places.make(V1)
    places.make(OTHER)
    path = directory(places)
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "link").symlink_to(outside)
    (path / "file").symlink_to(outside / "precious")
    places.put_away(V1, "1-2-3")
    assert not path.exists()
    places.put_away(V1, "1-2-3")  # told again
    sandboxes = SandboxPlaces(work_dir=str(tmp_path), agent_id=AgentId("a"))
    assert sandboxes.is_something_removed()
    Emptying(sandboxes.removed).run()
    assert not sandboxes.is_something_removed()
    assert (outside / "precious").exists()
    assert directory(places, OTHER).exists()


def test_the_collector_does_not_see_volumes(places: VolumePlaces, tmp_path: Path) -> None:
    places.make(V1)
    assert SandboxPlaces(work_dir=str(tmp_path), agent_id=AgentId("a")).find() == []


Ask = Callable[[object], "VolumesArranged | VolumeRemoved"]


@pytest.fixture
def ask(places: VolumePlaces) -> Ask:
    """An effect, carried out by a real keeper on a real isolation thread; its answer."""

    def carried_out(effect: object) -> VolumesArranged | VolumeRemoved:
        async def run() -> VolumesArranged | VolumeRemoved:
            thread = IsolationThread(asyncio.get_running_loop())
            answer: asyncio.Future[VolumesArranged | VolumeRemoved] = asyncio.get_running_loop().create_future()
            keeper = VolumeKeeper(places, thread, answer.set_result)
            if isinstance(effect, ArrangeVolumes):
                keeper.arrange(effect)
            else:
                assert isinstance(effect, RemoveVolume)
                keeper.remove(effect)
            try:
                async with asyncio.timeout(60):
                    return await answer
            finally:
                await asyncio.to_thread(thread.close)

        return asyncio.run(run())

    return carried_out


def test_the_disk_and_the_list_are_compared(places: VolumePlaces, ask: Ask) -> None:
    gone = VolumeKey(role="r", persistence_id="gone")
    leaving = VolumeKey(role="r", persistence_id="leaving")
    for volume in (OTHER, leaving, VolumeKey(role="x/y", persistence_id="left over")):
        places.make(volume)
    for stray in ("roles/..hidden/ok", "roles/r/\udcff", "roles/-role/x", "roles/*/x"):
        os.makedirs(f"{places.root}/{stray}")
    (Path(places.root) / "roles" / "file").touch()
    found = ask(ArrangeVolumes(make=(V1,), expect=(OTHER, gone), leaving=(leaving,)))
    assert isinstance(found, VolumesArranged)
    assert found.made == (V1,)
    ((troubled, why),) = found.troubled
    assert troubled == gone
    assert f"{places.root}/roles/r/gone is not there" in why
    assert set(found.unknown) == {
        VolumeKey(role="x/y", persistence_id="left over"),
        VolumeKey(role="..hidden", persistence_id="ok"),
    }


def test_what_cannot_be_made_is_said(places: VolumePlaces, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "agents").touch()
    found = ask(ArrangeVolumes(make=(V1,), expect=(), leaving=()))
    assert isinstance(found, VolumesArranged)
    ((troubled, why),) = found.troubled
    assert (troubled, found.made) == (V1, ())
    assert "Not a directory; look at --work-dir" in why


def test_a_removal_is_answered_either_way(places: VolumePlaces, ask: Ask, tmp_path: Path) -> None:
    places.make(V1)
    removal = DestroyedVolume(destroy_id="1-1-1", volume=V1)
    blocker = tmp_path / "agents" / "a" / ".removed"
    blocker.touch()
    refused = ask(RemoveVolume(removal=removal))
    assert isinstance(refused, VolumeRemoved)
    assert refused.problem
    assert directory(places).exists()
    blocker.unlink()
    assert ask(RemoveVolume(removal=removal)) == VolumeRemoved(destroy_id="1-1-1")
    assert not directory(places).exists()
