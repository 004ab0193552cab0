"""The table and --isolation: Mesos' rules, and third parties' isolators from entry points of installed distributions."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators import table
from isolators.contract import HostFacts, IsolatorSettings
from isolators.disk.du import DiskUsageIsolator
from isolators.filesystem.posix import PosixFilesystemIsolator
from isolators.testing import sample_host
from paddock.model.errors import ConfigError

ORDER = [
    "filesystem/posix",
    "cgroups/cpu",
    "cgroups/mem",
    "cgroups/pids",
    "linux/capabilities",
    "linux/nnp",
    "namespaces/pid",
    "disk/du",
    "posix/rlimits",
]


@pytest.fixture
def host(tmp_path: Path) -> HostFacts:
    return sample_host(tmp_path, "v1")


def names(isolation: str, host: HostFacts) -> list[str]:
    return [isolator.name for isolator in table.create(isolation, host, IsolatorSettings())]


def test_the_order_is_the_tables_whatever_the_flag_says(host: HostFacts) -> None:
    assert names(table.DEFAULT_ISOLATION, host) == ORDER
    assert names(",".join(reversed(ORDER)), host) == ORDER
    assert names(" disk/du , cgroups/cpu,", host) == ["filesystem/posix", "cgroups/cpu", "disk/du"]


def test_mesos_words_for_the_same(host: HostFacts) -> None:
    assert names("cgroups", host) == ["filesystem/posix", "cgroups/cpu", "cgroups/mem"]
    assert names("cgroups/all,posix/disk", host) == [*ORDER[:4], "disk/du"]


@pytest.mark.parametrize(
    ("isolation", "problems"),
    [
        ("cgroups/cpu,cgroups/cpu", ["'cgroups/cpu' is there 2 times: name it once"]),
        ("cgroups,cgroups/mem", ["'cgroups/mem' is there 2 times: name it once"]),
        ("cgroups/memm", ["'cgroups/memm' is unknown: did you mean 'cgroups/mem'?"]),
        ("posix/cpu", ["'posix/cpu' is unknown: did you mean 'cgroups/cpu'?"]),
        ("zzzzzz", ["'zzzzzz' is unknown: known are"]),
        ("filesystem/posix,filesystem/linux", ["'filesystem/linux' is unknown", "exclude each other"]),
        ("linux/np,linux/nnp,linux/nnp", ["'linux/nnp' is there 2 times: name it once", "did you mean 'linux/nnp'?"]),
    ],
)
def test_all_problems_at_once(host: HostFacts, isolation: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        names(isolation, host)
    assert len(caught.value.problems) == len(problems)
    for problem, words in zip(caught.value.problems, problems, strict=True):
        assert words in problem


PIECES = st.sampled_from(["cgroups/", "cpu", "mem", ",", " ", "disk/du", "posix", "\0", "é"])


@given(pieces=st.lists(PIECES, max_size=12))
def test_any_text_gives_isolators_in_order_or_problems(pieces: list[str]) -> None:
    try:
        found = table.parse_isolation("".join(pieces))
    except ConfigError as error:
        problems = error.problems
    else:
        assert found[0] == "filesystem/posix"
        assert list(found) == [name for name in ORDER if name in found]
        return
    assert problems


def test_a_controller_that_is_not_mounted_is_named(host: HostFacts) -> None:
    fields = {name: getattr(host, name) for name in host.__slots__}
    roots = tuple((name, path) for name, path in host.cgroup_roots if name not in {"cpuacct", "pids"})
    poor = HostFacts(**{**fields, "cgroup_roots": roots})
    with pytest.raises(ConfigError) as caught:
        names("cgroups/cpu,cgroups/pids,cgroups/mem", poor)
    assert ["cpuacct" in caught.value.problems[0], "pids" in caught.value.problems[1]] == [True, True]
    assert len(caught.value.problems) == 2


def test_a_host_without_du_is_told_what_to_install(host: HostFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigError, match="install coreutils"):
        DiskUsageIsolator(host, IsolatorSettings())


MODULE = """
from isolators.contract import Isolator
from paddock.model.launch_plan import LaunchPlan

class Greeting(Isolator):
    name = "acme/greeting"

    def prepare(self, container):
        return LaunchPlan(environment=(("GREETING", container.container_id),))

class Posing(Isolator):
    name = "cgroups/mem"

class Broken:
    name = "acme/broken"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an installed distribution's metadata and module, as pip leaves them."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "acme_isolators.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(directory))
    yield directory
    sys.modules.pop("acme_isolators", None)


def install(site: Path, distribution: str, *points: str) -> None:
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
    text = "\n".join([f"[{table.ENTRY_POINT_GROUP}]", *points, ""])
    (metadata / "entry_points.txt").write_text(text, encoding="utf-8")


def test_a_third_partys_isolator_comes_after_ours(site: Path, host: HostFacts) -> None:
    install(site, "acme", "acme/greeting = acme_isolators:Greeting")
    assert names("acme/greeting,cgroups/cpu", host) == ["filesystem/posix", "cgroups/cpu", "acme/greeting"]


def test_what_is_not_named_is_not_imported(site: Path, host: HostFacts) -> None:
    install(site, "acme", "acme/absent = no_such_module:Absent")
    assert names("cgroups/cpu", host) == ["filesystem/posix", "cgroups/cpu"]
    with pytest.raises(ConfigError, match="cannot be loaded: ModuleNotFoundError"):
        names("acme/absent", host)


@pytest.mark.parametrize(
    ("points", "isolation", "words"),
    [
        (["cgroups/mem = acme_isolators:Posing"], "cgroups/cpu", "'cgroups/mem' is offered 2 times .by paddock, acme_"),
        (["acme/broken = acme_isolators:Broken"], "acme/broken", "is not a subclass"),
        (["acme/other = acme_isolators:Greeting"], "acme/other", "calls itself 'acme/greeting'"),
        (["acme/greeting = acme_isolators:Nothing"], "acme/greeting", "cannot be loaded: AttributeError"),
    ],
)
def test_a_clash_or_a_defect_is_a_configuration_error(
    site: Path, host: HostFacts, points: list[str], isolation: str, words: str
) -> None:
    install(site, "acme", *points)
    with pytest.raises(ConfigError, match=words):
        names(isolation, host)


def test_two_packages_offering_one_name_clash(site: Path, host: HostFacts) -> None:
    install(site, "acme", "acme/greeting = acme_isolators:Greeting")
    install(site, "rival", "acme/greeting = acme_isolators:Broken")
    with pytest.raises(ConfigError, match="'acme/greeting' is offered 2 times"):
        names("cgroups/cpu", host)


def test_one_filesystem_isolator_is_always_there(host: HostFacts) -> None:
    (only,) = table.create("", host, IsolatorSettings())
    assert isinstance(only, PosixFilesystemIsolator)
