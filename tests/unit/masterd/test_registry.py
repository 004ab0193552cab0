"""The registry on a real disk: what was written is there after a crash, and a broken file stops the master."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from masterd.allocator.quota import Quota
from masterd.core.effects import (
    ForgetAgent,
    Save,
    SaveAgent,
    SaveAgentGone,
    SaveAgentResources,
    SaveDeactivated,
    SaveDrain,
    SaveFramework,
    SaveMaintenance,
    SaveQuotas,
    SaveWeights,
)
from masterd.core.recovery import Remembered
from masterd.core.views import Drain
from masterd.registry import Registry
from masterd.registry_file import FILE_NAME, check_format
from masterd.registry_formats import FORMAT
from paddock.model.errors import CheckpointError, ConfigError
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Unavailability
from paddock.model.offer_terms import HOSTNAME, Constraint, OfferTerms, Predicate
from paddock.model.resource_text import parse_resources
from paddock.model.resources import DiskVolume, Items, Ranges, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import DestroyedVolume, VolumeKey

AGENT = SaveAgent(agent_id=AgentId("a1"), hostname="h", unix_address="unix:/x", tcp_address="h:1", unreachable_ns=None)
FRAMEWORK = SaveFramework(
    framework=FrameworkInfo(
        framework_id=FrameworkId("f1"),
        name="ünï",
        roles=("a/b", "*"),
        user="alice",
        principal="uid:1000",
        capabilities=frozenset({FrameworkCapability.PARTITION_AWARE, FrameworkCapability.MULTI_ROLE}),
        failover_timeout_ms=2**50,
        labels=(("k", "v"), ("k2", "")),
        hostname="h",
        webui_url="http://ui.example",
        offer_terms=(
            OfferTerms(
                role="a/b",
                constraints=(
                    (
                        Constraint(select="ünï", predicate=Predicate.TEXT_NOT_MATCHES, value="r[0-9]+"),
                        Constraint(select=HOSTNAME, predicate=Predicate.EXISTS),
                    ),
                    (Constraint(select="rack", predicate=Predicate.TEXT_EQUALS, value='"'),),
                ),
                minimum=((("cpus", 1_500), ("mem", 2**50)), (("gpus", 1_000),)),
            ),
            OfferTerms(role="*", minimum=()),
        ),
    ),
    failover_deadline_ns=2**60,
    completed=False,
)


def test_everything_comes_back_as_it_was_written(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, FRAMEWORK, SaveWeights(weights_milli=(("r", 2500),))))
    gone = SaveAgent(agent_id=AgentId("a1"), hostname="h2", unix_address="", tcp_address="", unreachable_ns=7)
    registry.write((gone,))
    registry.close()
    registry = Registry.open(str(tmp_path))
    remembered = registry.load()
    registry.close()
    assert remembered.agents == (gone,)
    assert remembered.frameworks == (FRAMEWORK,)
    assert remembered.weights_milli == (("r", 2500),)


def test_quotas_and_agents_that_are_gone_come_back_too(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    quota = Quota(guarantees_milli={"cpus": 1500}, limits_milli={"cpus": 2000, "mem": 0})
    registry.write((AGENT, SaveQuotas(quotas=(("a/b", quota), ("c", quota))), SaveAgentGone(agent_id=AgentId("a1"))))
    registry.write((SaveQuotas(quotas=(("a/b", quota),)),))
    registry.close()
    registry = Registry.open(str(tmp_path))
    remembered = registry.load()
    registry.close()
    assert remembered.quotas == (("a/b", quota),)
    assert (remembered.agents, remembered.gone_agent_ids) == ((), (AgentId("a1"),))


def test_a_drain_comes_back_and_goes_with_its_agent(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    plain = SaveDrain(agent_id=AgentId("a1"), drain=Drain(asked_by="root (uid 0)"))
    done = Drain(asked_by="ünï", max_grace_ms=0, mark_gone=True, is_done=True)
    registry.write((AGENT, plain, *(SaveDrain(agent_id=AgentId(name), drain=done) for name in ("a2", "a3", "a4"))))
    registry.write((SaveDrain(agent_id=AgentId("a2"), drain=None), SaveAgentGone(agent_id=AgentId("a3"))))
    registry.close()
    registry = Registry.open(str(tmp_path))
    assert registry.load().drains == (plain, SaveDrain(agent_id=AgentId("a4"), drain=done))
    registry.write((ForgetAgent(agent_id=AgentId("a4")), SaveDrain(agent_id=AgentId("a1"), drain=done)))
    assert registry.load().drains == (SaveDrain(agent_id=AgentId("a1"), drain=done),)
    registry.close()


RESERVED = SaveAgentResources(
    agent_id=AgentId("a1"),
    configured=parse_resources("cpus(s):4;disk:100;ports:[1-5];ssd:{a,b}"),
    resources=Resources(
        (
            Resource(
                name="cpus",
                value=Scalar(milli=2**49),
                reservations=(
                    Reservation(role="s"),
                    Reservation(role="s/t", principal="uid:7", labels=(("k", "ü"),), dynamic=True, expires_ms=2**45),
                ),
            ),
            Resource(
                name="disk",
                value=Scalar(milli=1),
                reservations=(Reservation(role="r", dynamic=True),),
                volume=DiskVolume(persistence_id="v", principal="p", container_path="x/y", read_only=True),
                shared=True,
            ),
            Resource(name="ports", value=Ranges.of([(1, 2), (4, 5)]), revocable=True, provider_id="q"),
            Resource(name="ssd", value=Items(names=frozenset({"a", "b"})), indivisible=True),
        )
    ),
)


def loaded(tmp_path: Path) -> Remembered:
    registry = Registry.open(str(tmp_path))
    remembered = registry.load()
    registry.close()
    return remembered


def test_reservations_and_volumes_come_back_as_they_were(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, RESERVED))
    registry.close()
    (found,) = loaded(tmp_path).agent_resources
    assert found.resources.items == RESERVED.resources.items
    assert found.configured.items == RESERVED.configured.items


@pytest.mark.parametrize(
    "record",
    [
        ForgetAgent(agent_id=AgentId("a1")),
        SaveAgentGone(agent_id=AgentId("a1")),
        replace(RESERVED, resources=RESERVED.configured),
    ],
)
def test_nothing_is_kept_of_an_agent_that_has_no_reservations_any_more(tmp_path: Path, record: Save) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, RESERVED, record))
    registry.close()
    assert loaded(tmp_path).agent_resources == ()


@pytest.mark.parametrize("text", ["nonsense", "[{}]", '[{"name": "cpus"}]', "[7]", '[{"name":"x","scalar":"y"}]'])
def test_reservations_that_make_no_sense_are_not_believed(tmp_path: Path, text: str) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, RESERVED))
    with registry._connection as connection:
        connection.execute("UPDATE agent_resources SET resources = ?", (text,))
    with pytest.raises(CheckpointError):
        registry.load()
    registry.close()


def test_agents_out_of_use_and_maintenance_come_back(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    windows = (("h", Unavailability(start_ns=2**60, duration_ns=5)), ("ü", Unavailability(start_ns=1)))
    out = [SaveDeactivated(agent_id=AgentId(name), deactivated=True) for name in ("a1", "a2", "a3")]
    registry.write((AGENT, *out, SaveMaintenance(windows=(("x", Unavailability(start_ns=1)),))))
    registry.write((SaveDeactivated(agent_id=AgentId("a2"), deactivated=False), ForgetAgent(agent_id=AgentId("a3"))))
    registry.write((SaveMaintenance(windows=windows),))
    registry.close()
    remembered = loaded(tmp_path)
    assert (remembered.deactivated_agent_ids, remembered.maintenance) == ((AgentId("a1"),), windows)


@pytest.mark.parametrize(
    ("found", "newer"),
    [
        (2, ("agent_resources", "deactivated_agents", "maintenance", "drains")),
        (3, ("agent_resources", "deactivated_agents", "maintenance")),
    ],
)
def test_older_formats_are_brought_forward(tmp_path: Path, found: int, newer: tuple[str, ...]) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, SaveQuotas(quotas=(("r", Quota(limits_milli={"cpus": 1})),))))
    with registry._connection as connection:
        for table in newer:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE frameworks DROP COLUMN offer_terms")
        connection.execute(f"PRAGMA user_version = {found}")
    registry.close()
    assert [role for role, _ in loaded(tmp_path).quotas] == ["r"]
    registry = Registry.open(str(tmp_path))
    registry.write((RESERVED,))
    registry.close()
    assert loaded(tmp_path).agent_resources


def test_format_4_is_understood(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, RESERVED))
    with registry._connection as connection:
        connection.execute("ALTER TABLE agent_resources DROP COLUMN destroyed")
        connection.execute("ALTER TABLE frameworks DROP COLUMN offer_terms")
        connection.execute("PRAGMA user_version = 4")
    registry.close()
    assert loaded(tmp_path).agent_resources == (RESERVED,)
    destroyed = (DestroyedVolume(destroy_id="1-2-3", volume=VolumeKey(role="a/b", persistence_id="ü")),)
    plain = replace(RESERVED, resources=RESERVED.configured, destroyed=destroyed)
    registry = Registry.open(str(tmp_path))
    registry.write((plain,))
    registry.close()
    assert loaded(tmp_path).agent_resources == (plain,)


def test_format_5_is_understood(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((FRAMEWORK,))
    with registry._connection as connection:
        connection.execute("ALTER TABLE frameworks DROP COLUMN offer_terms")
        connection.execute("PRAGMA user_version = 5")
    registry.close()
    assert loaded(tmp_path).frameworks == (replace(FRAMEWORK, framework=replace(FRAMEWORK.framework, offer_terms=())),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '[["r", [], 1]]',
        '[["r", [[]], null]]',
        '[["r", [[["rack", "is", "x"]]], null]]',
        '[["r", [[["rack", "text_matches", "("]]], null]]',
        '[["r", [], [[["cpus", "many"]]]]]',
    ],
)
def test_wishes_that_make_no_sense_are_not_believed(tmp_path: Path, text: str) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((FRAMEWORK,))
    with registry._connection as connection:
        connection.execute("UPDATE frameworks SET offer_terms = ?", (text,))
    registry.close()
    with pytest.raises(CheckpointError, match="restore the file from a backup"):
        loaded(tmp_path)


def test_of_frameworks_that_have_ended_the_newest_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masterd.registry.REFUSED_IDS_LIMIT_COUNT", 2)
    registry = Registry.open(str(tmp_path))

    def saved(name: str, *, completed: bool) -> SaveFramework:
        info = FrameworkInfo(framework_id=FrameworkId(name))
        return SaveFramework(framework=info, failover_deadline_ns=None, completed=completed)

    registry.write([saved(name, completed=False) for name in "abcde"])
    registry.write([saved(name, completed=True) for name in "dabc"])
    found = [(record.framework.framework_id, record.completed) for record in registry.load().frameworks]
    registry.close()
    assert found == [("e", False), ("b", True), ("c", True)]


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    broken = SaveWeights(weights_milli=(("r", 1), ("r", 2)))
    with pytest.raises(CheckpointError):
        registry.write((AGENT, broken))
    assert registry.load().agents == ()
    registry.close()


def test_it_is_written_as_durably_as_sqlite_can(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    connection = registry._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    registry.close()


def test_a_forgotten_agent_is_no_longer_there(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((AGENT, ForgetAgent(agent_id=AGENT.agent_id)))
    assert registry.load().agents == ()
    registry.close()


FORMAT_1 = """
CREATE TABLE master (id TEXT NOT NULL, epoch INTEGER NOT NULL);
CREATE TABLE agents (
    id TEXT PRIMARY KEY, hostname TEXT NOT NULL, unix_address TEXT NOT NULL, tcp_address TEXT NOT NULL,
    reachable INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE frameworks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, principal TEXT NOT NULL, roles TEXT NOT NULL,
    capabilities TEXT NOT NULL, failover_timeout_ms INTEGER NOT NULL, labels TEXT NOT NULL, hostname TEXT NOT NULL,
    webui_url TEXT NOT NULL, failover_deadline_ns INTEGER, completed INTEGER NOT NULL
);
CREATE TABLE weights (role TEXT PRIMARY KEY, weight_milli INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO master VALUES ('m', 4);
INSERT INTO agents VALUES ('a1', 'h', 'unix:/x', 'h:1', 1);
INSERT INTO agents VALUES ('away', 'h', '', '', 0);
INSERT INTO frameworks VALUES ('f1', '', '', '', '["*"]', '[]', 0, '[]', '', '', NULL, 1);
INSERT INTO weights VALUES ('r', 2500);
PRAGMA user_version = 1;
"""


TO_FORMAT_2 = """
ALTER TABLE agents ADD COLUMN unreachable_ns INTEGER;
ALTER TABLE agents DROP COLUMN reachable;
CREATE TABLE quotas (role TEXT PRIMARY KEY, guarantees TEXT NOT NULL, limits TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE gone_agents (id TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO gone_agents VALUES ('g');
PRAGMA user_version = 2;
"""


def write_format_1(state_dir: Path) -> None:
    """As the masterd of that format left it."""
    connection = sqlite3.connect(state_dir / FILE_NAME)
    connection.executescript(FORMAT_1)
    connection.close()


def test_format_1_is_understood(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    before_ns = int(time.time()) * 10**9
    for _ in range(2):
        registry = Registry.open(str(tmp_path))
        remembered = registry.load()
        registry.close()
        here, away = remembered.agents
        assert here == AGENT
        assert away.unreachable_ns is not None
        assert before_ns <= away.unreachable_ns <= time.time_ns()
        assert [record.framework.framework_id for record in remembered.frameworks] == ["f1"]
        assert remembered.weights_milli == (("r", 2500),)
        assert (remembered.quotas, remembered.gone_agent_ids) == ((), ())


def test_a_registry_of_the_first_format_is_brought_forward(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    Registry.open(str(tmp_path)).close()
    registry = Registry.open(str(tmp_path))
    quotas = (("r", Quota(limits_milli={"cpus": 1})),)
    registry.write((SaveAgentGone(agent_id=AgentId("x")), SaveQuotas(quotas=quotas)))
    registry.write((ForgetAgent(agent_id=AgentId("away")),))
    remembered = registry.load()
    assert (remembered.agents, remembered.gone_agent_ids, remembered.quotas) == ((AGENT,), (AgentId("x"),), quotas)
    registry.write((ForgetAgent(agent_id=AgentId("x")),))
    assert registry.load().gone_agent_ids == ()
    assert (registry.begin_epoch().master_id, registry.begin_epoch().epoch) == ("m", 6)
    registry.close()


def test_format_1_brought_forward_has_the_tables_of_a_new_registry(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    (tmp_path / "new").mkdir()
    assert columns(tmp_path) == columns(tmp_path / "new")


def columns(state_dir: Path) -> list[tuple[str, str, str, bool]]:
    """Of every table: its name, and each column's name, type and whether it must be there."""
    Registry.open(str(state_dir)).close()
    connection = sqlite3.connect(state_dir / FILE_NAME)
    found = connection.execute(
        'SELECT m.name, c.name, c.type, c."notnull" FROM sqlite_master m JOIN pragma_table_info(m.name) c'
        " WHERE m.type = 'table' ORDER BY m.name, c.cid"
    ).fetchall()
    connection.close()
    return found


def test_a_registry_of_the_second_format_is_brought_forward(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.executescript(TO_FORMAT_2)
    connection.close()
    for _ in range(2):
        registry = Registry.open(str(tmp_path))
        remembered = registry.load()
        registry.close()
        assert remembered.agents[0] == AGENT
        assert (remembered.gone_agent_ids, remembered.drains) == ((AgentId("g"),), ())
    (tmp_path / "new").mkdir()
    assert columns(tmp_path) == columns(tmp_path / "new")


def test_the_id_stays_and_the_epoch_grows(tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        registry = Registry.open(str(tmp_path))
        seen.append(registry.begin_epoch())
        registry.close()
    assert len({identity.master_id for identity in seen}) == 1
    assert [identity.epoch for identity in seen] == [1, 2, 3]


def test_one_master_per_directory(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    with pytest.raises(ConfigError, match="in use by another masterd"):
        Registry.open(str(tmp_path))
    registry.close()
    Registry.open(str(tmp_path)).close()


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "deep" / "state"))
    for path in (tmp_path / "deep" / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((tmp_path / "deep" / "state").stat().st_mode) == 0o700
    registry.close()


@pytest.mark.parametrize("garbage", [b"not a database at all", os.urandom(8192)])
def test_a_broken_file_stops_the_master_with_a_remedy(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(garbage)
    with pytest.raises(CheckpointError, match="restore the file from a backup"):
        Registry.open(str(tmp_path))
    # The lock was let go.
    (tmp_path / FILE_NAME).unlink()
    Registry.open(str(tmp_path)).close()


def test_a_newer_format_is_not_guessed_at(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    words = f"{tmp_path / FILE_NAME}.* has format 99, this version reads 1 to {FORMAT}; run the masterd that wrote it"
    for look in (check_format, Registry.open):
        with pytest.raises(CheckpointError, match=words):
            look(str(tmp_path))


def test_a_format_that_is_known_is_nothing_to_say(tmp_path: Path) -> None:
    check_format(str(tmp_path))
    Registry.open(str(tmp_path)).close()
    check_format(str(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(b"something else, and long enough to be looked at")
    with pytest.raises(CheckpointError, match="this is no registry"):
        check_format(str(tmp_path))


def test_a_row_that_makes_no_sense_is_not_believed(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.write((FRAMEWORK,))
    with registry._connection as connection:
        connection.execute("UPDATE frameworks SET capabilities = '[9999]'")
    with pytest.raises(CheckpointError):
        registry.load()
    registry.close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="directory of its own"):
        Registry.open(str(tmp_path / "file" / "state"))
