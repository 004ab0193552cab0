"""What may change while an agent keeps its id, by policy; the words for the rest; the file that remembers."""

from dataclasses import replace
from pathlib import Path

import pytest

from agentd import reconfiguration
from agentd.config import ReconfigurationPolicy, Settings
from agentd.host import host_resources
from agentd.reconfiguration import FILE_NAME, configured, differences
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId
from paddock.model.resources import Resource, Resources, Scalar

EQUAL, ADDITIVE, ANY = ReconfigurationPolicy.EQUAL, ReconfigurationPolicy.ADDITIVE, ReconfigurationPolicy.ANY
BEFORE = Settings(
    resources="cpus:4;cpus(prod):2;mem:1024;ports:[31000-31100];ssd:{a,b}",
    attributes="rack:r1;level:10;keys:[1000-1500]",
    region="eu",
)


def changes(before: Settings, after: Settings, policy: ReconfigurationPolicy) -> tuple[str, ...]:
    return differences(configured(before, host_resources(before)), configured(after, host_resources(after)), policy)


@pytest.mark.parametrize(
    ("changed", "equal", "additive"),
    [
        ({}, "", ""),
        ({"resources": "ssd:{b,a};mem:1GiB;cpus:4;cpus(prod):2;ports:[31000-31100]"}, "", ""),
        ({"resources": f"{BEFORE.resources};gpus:2"}, "resources: nothing became gpus:2", ""),
        ({"resources": BEFORE.resources.replace("cpus:4", "cpus:5")}, "became cpus:5;cpus(prod):2", ""),
        (
            {"resources": BEFORE.resources.replace("cpus:4", "cpus:3")},
            "became cpus:3",
            "cpus:4;cpus(prod):2 became cpus:3",
        ),
        ({"resources": BEFORE.resources.replace("cpus(prod)", "cpus(dev)")}, "cpus(dev):2", "cpus(dev):2"),
        ({"resources": BEFORE.resources.replace("31100", "31200")}, "ports:[31000-31200]", ""),
        ({"resources": BEFORE.resources.replace("31000", "31001")}, "ports:[31001-31100]", "ports:[31001-31100]"),
        ({"resources": BEFORE.resources.replace("{a,b}", "{a}")}, "ssd:{a}", "ssd:{a,b} became ssd:{a}"),
        ({"attributes": f"{BEFORE.attributes};new:yes"}, "attributes: nothing became new:yes", ""),
        ({"attributes": BEFORE.attributes.replace("r1", "r2")}, "rack:r1 became rack:r2", "rack:r1 became rack:r2"),
        ({"attributes": BEFORE.attributes.replace("level:10", "level:11")}, "level:11", "level:10 became level:11"),
        ({"attributes": BEFORE.attributes.replace("1500", "1600")}, "keys:[1000-1600]", ""),
        ({"attributes": "rack:r1;level:10"}, "keys:[1000-1500] became nothing", "keys:[1000-1500] became nothing"),
        ({"zone": "z1"}, "zone: nothing became z1", ""),
        ({"region": "us"}, "region: eu became us", "region: eu became us"),
    ],
)
def test_what_each_policy_allows(changed: dict[str, str], equal: str, additive: str) -> None:
    after = replace(BEFORE, **changed)  # type: ignore[arg-type]
    for policy, said in ((EQUAL, equal), (ADDITIVE, additive), (ANY, "")):
        found = changes(BEFORE, after, policy)
        assert len(found) == bool(said), (policy, found)
        assert said in "".join(found)


def test_what_was_found_may_change_and_what_was_named_is_compared_with_what_is_found() -> None:
    before, after = Settings(resources="cpus:1000"), Settings()
    then = configured(before, Resources.of([*host_resources(before), Resource(name="x", value=Scalar(milli=1))]))
    assert differences(then, configured(before, host_resources(before)), EQUAL) == ()
    found = differences(then, configured(after, host_resources(after)), ADDITIVE)
    assert len(found) == 1
    assert found[0].startswith("resources: cpus:1000 became cpus:")


def test_a_refusal_names_every_change_and_every_way_out_and_changes_nothing(tmp_path: Path) -> None:
    before = replace(BEFORE, state_dir=str(tmp_path))
    agent = AgentId("a1")
    reconfiguration.check(before, host_resources(before), agent)
    reconfiguration.remember(before, host_resources(before))
    content = (tmp_path / FILE_NAME).read_bytes()
    after = replace(before, resources="cpus:2;mem:1024;ports:[31000-31100];ssd:{a,b}", attributes="rack:r2")
    with pytest.raises(ConfigError) as refused:
        reconfiguration.check(after, host_resources(after), agent)
    words = str(refused.value)
    for said in (
        "cpus:4;cpus(prod):2 became cpus:2",
        "rack:r1 became rack:r2",
        "=additive",
        "=any",
        "drain a1",
        "state-dir",
    ):
        assert said in words
    assert (tmp_path / FILE_NAME).read_bytes() == content
    wider = replace(before, attributes=f"{BEFORE.attributes};new:1", reconfiguration_policy=ADDITIVE)
    reconfiguration.check(wider, host_resources(wider), agent)
    reconfiguration.remember(wider, host_resources(wider))
    # What was allowed once is what it is from then on.
    with pytest.raises(ConfigError, match="attributes: new:1 became nothing"):
        reconfiguration.check(before, host_resources(before), agent)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format":1}', b"\xff\x00"])
def test_a_file_that_cannot_be_understood_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    settings = replace(BEFORE, state_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=rf"{FILE_NAME}: .*restore it, or remove it"):
        reconfiguration.check(settings, host_resources(settings), AgentId("a1"))


def test_a_file_of_a_newer_agent_is_named_with_its_format(tmp_path: Path) -> None:
    settings = replace(BEFORE, state_dir=str(tmp_path))
    reconfiguration.remember(settings, host_resources(settings))
    content = (tmp_path / FILE_NAME).read_bytes()
    assert content.count(b'"format":1') == 1
    (tmp_path / FILE_NAME).write_bytes(content.replace(b'"format":1', b'"format":2'))
    with pytest.raises(ConfigError, match=rf"{FILE_NAME}: format 2, .*start the version of agentd that wrote it"):
        reconfiguration.check(settings, host_resources(settings), AgentId("a1"))
