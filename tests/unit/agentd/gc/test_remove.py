"""A directory is emptied of whatever a task may have made, and nothing outside it is touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.gc.places import SandboxPlaces
from agentd.gc.remove import Emptying
from paddock.model.ids import AgentId


def emptied(directory: Path) -> Emptying:
    emptying = Emptying(str(directory))
    emptying.run()
    return emptying


def test_links_and_fifos_go_and_what_links_lead_to_stays(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (inside / "c" / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").write_text("x")
    (inside / "c" / "link").symlink_to(outside)
    (inside / "c" / "d" / "up").symlink_to("..")
    (inside / "link").symlink_to(outside)
    os.mkfifo(inside / "c" / "fifo")
    os.link(outside / "kept", inside / "c" / "hard")
    (inside / "c" / ":1").mkdir()
    found = emptied(inside)
    assert os.listdir(inside) == []
    assert (outside / "kept").read_text() == "x"
    assert found.left == {}


def test_depth_costs_neither_stack_nor_descriptors(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    assert emptied(tmp_path).removed_count == 1200
    assert os.listdir(tmp_path) == []


trees = st.recursive(
    st.sampled_from(["file", "link", "fifo"]), lambda inner: st.dictionaries(st.sampled_from("ab:1"), inner, max_size=3)
)


def _grow(directory: str, tree: object) -> None:
    assert isinstance(tree, dict)
    for name, inner in tree.items():
        path = f"{directory}/{name}"
        if isinstance(inner, dict):
            os.mkdir(path)
            _grow(path, inner)
        elif inner == "link":
            os.symlink("/", path)
        elif inner == "fifo":
            os.mkfifo(path)
        else:
            Path(path).touch()


@given(st.dictionaries(st.sampled_from("ab:1"), trees, max_size=3))
@settings(max_examples=40, deadline=None)
def test_any_tree_goes(tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as path:
        _grow(path, tree)
        assert emptied(Path(path)).left == {}
        assert os.listdir(path) == []


def test_only_this_agents_sandboxes_are_found_and_empty_parents_go(tmp_path: Path) -> None:
    mine = SandboxPlaces(work_dir=str(tmp_path), agent_id=AgentId("a1"))
    run = tmp_path / "agents/a1/frameworks/f/tasks/t t/runs/c1"
    run.mkdir(parents=True)
    (tmp_path / "agents/a1/containers/c2").mkdir(parents=True)
    (tmp_path / "agents/a2/containers/c3").mkdir(parents=True)
    (tmp_path / "agents/a1/containers/stray").write_text("x")
    (tmp_path / "agents/a1/containers/link").symlink_to(tmp_path / "agents/a2/containers/c3")
    found = {each.container_id: each for each in mine.find()}
    assert found.keys() == {"c1", "c2"}
    for each in found.values():
        mine.put_away(each)
    assert mine.find() == []
    assert mine.is_something_removed()
    assert sorted(os.listdir(tmp_path / "agents/a1")) == [".removed", "containers", "frameworks"]
    assert os.listdir(tmp_path / "agents/a1/frameworks") == []
    assert (tmp_path / "agents/a1/.removed").stat().st_mode & 0o777 == 0o700
    assert os.listdir(tmp_path / "agents/a2/containers") == ["c3"]


def test_the_owner_cannot_make_it_look_older_or_newer_than_it_is(tmp_path: Path) -> None:
    places = SandboxPlaces(work_dir=str(tmp_path), agent_id=AgentId("a1"))
    path = tmp_path / "agents/a1/containers/c"
    path.mkdir(parents=True)
    (before,) = places.find()
    os.utime(path, (2**33, 2**33))
    (after,) = places.find()
    assert 0 <= after.idle_since_ns - before.idle_since_ns < 3600 * 10**9
