"""The setting `allocator`: built-in names, other packages' names, and what is refused."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from masterd import allocators
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, FrameworkTraits
from masterd.allocator.random_allocator import RandomAllocator
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources

SETTINGS = AllocatorSettings()
MODULE = "from masterd.allocator.drf_allocator import DrfAllocator\nclass Greedy(DrfAllocator):\n    pass\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an installed distribution's metadata and module, as pip leaves them."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "acme_allocators.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(directory))
    yield directory
    sys.modules.pop("acme_allocators", None)


def install(site: Path, distribution: str, *points: str) -> None:
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
    text = "\n".join([f"[{allocators.ENTRY_POINT_GROUP}]", *points, ""])
    (metadata / "entry_points.txt").write_text(text, encoding="utf-8")


def test_the_built_in_ones_go_by_their_names() -> None:
    assert type(allocators.create("drf", SETTINGS)) is DrfAllocator
    assert type(allocators.create("random", SETTINGS)) is RandomAllocator


def test_another_packages_allocator_is_made_by_its_name(site: Path) -> None:
    install(site, "acme", "acme-greedy = acme_allocators:Greedy")
    assert type(allocators.create("acme-greedy", SETTINGS)).__name__ == "Greedy"


def test_an_unknown_name_lists_the_known_ones(site: Path) -> None:
    install(site, "acme", "acme-greedy = acme_allocators:Greedy")
    with pytest.raises(ConfigError, match="no allocator 'fair'; known are acme-greedy, drf, random"):
        allocators.create("fair", SETTINGS)


@pytest.mark.parametrize(
    ("point", "name", "words"),
    [
        ("drf = acme_allocators:Greedy", "drf", r"'drf' is offered 2 times \(by paddock, acme_allocators:Greedy\)"),
        ("acme = no_such_module:Absent", "acme", "cannot be loaded: No module named 'no_such_module'"),
        ("acme = acme_allocators:Absent", "acme", "cannot be loaded: .*Absent"),
    ],
)
def test_a_clash_or_a_defect_is_a_configuration_error(site: Path, point: str, name: str, words: str) -> None:
    install(site, "acme", point)
    with pytest.raises(ConfigError, match=words):
        allocators.create(name, SETTINGS)


def test_one_that_cannot_honour_a_setting_says_which(site: Path) -> None:
    module = site / "acme_allocators.py"
    refusing = (
        "from paddock.model.errors import ConfigError\ndef make(settings):\n    if settings.nested_quota:\n"
        "        raise ConfigError(('nested_quota: acme has no roles below roles; write false',))\n"
        "    return Greedy(settings)\n"
    )
    module.write_text(MODULE + refusing, encoding="utf-8")
    install(site, "acme", "acme = acme_allocators:make")
    with pytest.raises(ConfigError, match="nested_quota: acme has no roles below roles; write false"):
        allocators.create("acme", SETTINGS)
    made = allocators.create("acme", AllocatorSettings(nested_quota=False, filter_gpus=False))
    assert isinstance(made, DrfAllocator)
    assert (type(made).__name__, made.settings.filter_gpus) == ("Greedy", False)


def test_lots_fall_in_proportion_to_weights() -> None:
    """Three roles of weight 1, 2 and 5, one agent at a time: far from equal, and near what the weights say."""
    allocator = RandomAllocator(AllocatorSettings(decline_backoff=False))
    allocator.update_weights({"two": 2_000, "five": 5_000})
    for role in ("one", "two", "five"):
        allocator.add_framework(FrameworkId(role), FrameworkTraits(roles=frozenset({role})), active=True)
    allocator.add_agent(AgentId("a"), parse_resources("cpus:1;mem:100"), {}, Resources())
    shuffler, counts, follows = random.Random(5), Counter[str](), Counter[tuple[str, str]]()
    before = ""
    for now_ns in range(4_000):
        (grant,) = allocator.run(now_ns=now_ns, shuffler=shuffler, batch=True)
        counts[grant.role] += 1
        follows[before, grant.role] += 1
        before = grant.role
        allocator.recover(
            grant.framework_id, grant.role, grant.agent_id, grant.resources, refuse_ms=None, now_ns=now_ns
        )
    # Of 4,000 draws, 500, 1,000 and 2,500 are expected, give or take some 30.
    assert abs(counts["one"] - 500) < 150
    assert abs(counts["two"] - 1_000) < 200
    assert abs(counts["five"] - 2_500) < 250
    # And no turn-taking: after "five" comes "five" again as often as ever.
    assert abs(follows["five", "five"] / counts["five"] - 5 / 8) < 0.06
