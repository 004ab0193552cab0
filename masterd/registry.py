"""What outlives the master: who it is, agents and what of them is reserved, frameworks, weights, quotas.

SQLite, written in groups, durable before visible.

Nothing in here is asked at run time: it is read once at the start, and written by one thread.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from masterd import offer_terms_rows, resource_rows
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
from masterd.core.state import REFUSED_IDS_LIMIT_COUNT
from masterd.core.views import Drain
from masterd.registry_file import FILE_NAME, REMEDY, check_format, connect
from paddock.model.errors import CheckpointBlocked, CheckpointError, ConfigError
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, MasterId
from paddock.model.offer import Unavailability

LOCK_NAME = "lock"
_PRIMARY_CODE = 0xFF
_MAY_PASS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)
"""The disk's errors, not ours."""

_FORGET_THE_OLDEST = (
    "DELETE FROM frameworks WHERE completed = 1 AND rowid NOT IN"
    " (SELECT rowid FROM frameworks WHERE completed = 1 ORDER BY rowid DESC LIMIT ?)"
)
"""A row that is written again gets a new rowid: the order of rowids is the order in which frameworks have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this master is. `epoch` grows by one at each start, and was made durable before anybody saw it."""

    master_id: MasterId
    epoch: int


class Registry:
    """Open by `Registry.open`, which locks it: a second master on the same state is a clear error."""

    def __init__(self, path: Path, lock_fd: int, connection: sqlite3.Connection) -> None:
        self._path = path
        self._lock_fd = lock_fd
        self._connection = connection

    @classmethod
    def open(cls, state_dir: str) -> Registry:
        """Makes what is missing. Raises ConfigError (locked, cannot be made) or CheckpointError (cannot be read)."""
        directory = Path(state_dir)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                (f"state_dir {state_dir}: {error.strerror}; give masterd a directory of its own",)
            ) from error
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock_fd)
            remedy = "stop the other masterd, or give this one a --state-dir of its own"
            raise ConfigError((f"state_dir {state_dir} is in use by another masterd: {remedy}",)) from error
        path = directory / FILE_NAME
        try:
            check_format(state_dir)
            return cls(path, lock_fd, connect(path))
        except sqlite3.Error as error:
            os.close(lock_fd)
            raise _broken(path, error) from error
        except BaseException:
            os.close(lock_fd)
            raise

    def close(self) -> None:
        """After the writer has ended. The lock goes with it."""
        self._connection.close()
        os.close(self._lock_fd)

    def begin_epoch(self) -> Identity:
        """One more start of this master."""
        try:
            with self._connection as connection:
                row = connection.execute("SELECT id, epoch FROM master").fetchone()
                if row is None:
                    row = (uuid.uuid4().hex[:12], 0)
                    connection.execute("INSERT INTO master (id, epoch) VALUES (?, ?)", row)
                connection.execute("UPDATE master SET epoch = epoch + 1")
        except sqlite3.Error as error:
            raise _broken(self._path, error) from error
        return Identity(master_id=MasterId(str(row[0])), epoch=int(row[1]) + 1)

    def load(self) -> Remembered:
        """Everything that is still of use. Called once, before the writer starts."""
        try:
            with self._connection as connection:
                connection.execute(_FORGET_THE_OLDEST, (REFUSED_IDS_LIMIT_COUNT,))
            agents = self._connection.execute(
                "SELECT id, hostname, unix_address, tcp_address, unreachable_ns FROM agents"
            )
            frameworks = self._connection.execute(
                "SELECT id, name, user, principal, roles, capabilities, failover_timeout_ms, labels, hostname, webui_url,"
                " offer_terms, failover_deadline_ns, completed FROM frameworks ORDER BY rowid"
            )
            weights = self._connection.execute("SELECT role, weight_milli FROM weights")
            quotas = self._connection.execute("SELECT role, guarantees, limits FROM quotas")
            gone = self._connection.execute("SELECT id FROM gone_agents")
            resources = self._connection.execute("SELECT id, configured, resources, destroyed FROM agent_resources")
            deactivated = self._connection.execute("SELECT id FROM deactivated_agents")
            maintenance = self._connection.execute("SELECT hostname, start_ns, duration_ns FROM maintenance")
            drains = self._connection.execute("SELECT id, asked_by, max_grace_ms, mark_gone, is_done FROM drains")
            return Remembered(
                agents=tuple(_agent(row) for row in agents.fetchall()),
                agent_resources=tuple(_agent_resources(row) for row in resources.fetchall()),
                frameworks=tuple(_framework(row) for row in frameworks.fetchall()),
                weights_milli=tuple((str(role), int(weight)) for role, weight in weights.fetchall()),
                quotas=tuple(_quota(row) for row in quotas.fetchall()),
                gone_agent_ids=tuple(AgentId(str(row[0])) for row in gone.fetchall()),
                deactivated_agent_ids=tuple(AgentId(str(row[0])) for row in deactivated.fetchall()),
                maintenance=tuple(
                    (str(hostname), Unavailability(start_ns=int(start_ns), duration_ns=int(duration_ns)))
                    for hostname, start_ns, duration_ns in maintenance.fetchall()
                ),
                drains=tuple(_drain(row) for row in drains.fetchall()),
            )
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise _broken(self._path, error) from error

    def write(self, records: Sequence[Save]) -> None:
        """One transaction for the group; on disk when it returns. Runs on the writer thread.

        Raises CheckpointBlocked when there is no space, or the disk fails: nothing of it is in the registry then. Whoever tries
        again must begin with the same group: then SQLite puts the same pages where they stood, and what a failed sync has
        left in doubt is written anew.
        """
        try:
            with self._connection as connection:
                for record in records:
                    _write(connection, record)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _MAY_PASS:
                raise _blocked(self._path, error) from error
            raise _broken(self._path, error) from error


def _blocked(path: Path, error: Exception) -> CheckpointBlocked:
    remedy = "make room, or repair the file system"
    return CheckpointBlocked(str(path), 0, f"it cannot be written: {error}; {remedy}")


def _broken(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(str(path), 0, f"{type(error).__name__}: {error}; {REMEDY}")


def _agent(row: Sequence[object]) -> SaveAgent:
    agent_id, hostname, unix_address, tcp_address, unreachable_ns = row
    return SaveAgent(
        agent_id=AgentId(str(agent_id)),
        hostname=str(hostname),
        unix_address=str(unix_address),
        tcp_address=str(tcp_address),
        unreachable_ns=None if unreachable_ns is None else int(str(unreachable_ns)),
    )


def _framework(row: Sequence[object]) -> SaveFramework:
    texts = [str(value) for value in row[:11]]
    deadline_ns, completed = row[11:]
    info = FrameworkInfo(
        framework_id=FrameworkId(texts[0]),
        name=texts[1],
        user=texts[2],
        principal=texts[3],
        roles=tuple(str(role) for role in json.loads(texts[4])),
        capabilities=frozenset(FrameworkCapability(number) for number in json.loads(texts[5])),
        failover_timeout_ms=int(texts[6]),
        labels=tuple((str(key), str(value)) for key, value in json.loads(texts[7])),
        hostname=texts[8],
        webui_url=texts[9],
        offer_terms=offer_terms_rows.from_text(texts[10]),
    )
    return SaveFramework(
        framework=info,
        failover_deadline_ns=None if deadline_ns is None else int(str(deadline_ns)),
        completed=bool(completed),
    )


def _quota(row: Sequence[object]) -> tuple[str, Quota]:
    role, guarantees, limits = (str(value) for value in row)
    return role, Quota(guarantees_milli=_amounts(guarantees), limits_milli=_amounts(limits))


def _agent_resources(row: Sequence[object]) -> SaveAgentResources:
    agent_id, configured, resources, destroyed = (str(value) for value in row)
    return SaveAgentResources(
        agent_id=AgentId(agent_id),
        configured=resource_rows.from_text(configured),
        resources=resource_rows.from_text(resources),
        destroyed=resource_rows.destroyed_from_text(destroyed),
    )


def _drain(row: Sequence[object]) -> SaveDrain:
    agent_id, asked_by, max_grace_ms, mark_gone, is_done = row
    drain = Drain(
        asked_by=str(asked_by),
        max_grace_ms=None if max_grace_ms is None else int(str(max_grace_ms)),
        mark_gone=bool(mark_gone),
        is_done=bool(is_done),
    )
    return SaveDrain(agent_id=AgentId(str(agent_id)), drain=drain)


def _write_drain(connection: sqlite3.Connection, agent_id: AgentId, drain: Drain | None) -> None:
    connection.execute("DELETE FROM drains WHERE id = ?", (agent_id,))
    if drain is not None:
        connection.execute(
            "INSERT INTO drains (id, asked_by, max_grace_ms, mark_gone, is_done) VALUES (?, ?, ?, ?, ?)",
            (agent_id, drain.asked_by, drain.max_grace_ms, int(drain.mark_gone), int(drain.is_done)),
        )


def _amounts(text: str) -> dict[str, int]:
    return {str(name): int(milli) for name, milli in json.loads(text).items()}


def _forget_of_agent(connection: sqlite3.Connection, agent_id: AgentId) -> None:
    for table in ("agent_resources", "deactivated_agents", "drains"):
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (agent_id,))  # noqa: S608 - the names are ours


def _write_deactivated(connection: sqlite3.Connection, agent_id: AgentId, *, deactivated: bool) -> None:
    connection.execute("DELETE FROM deactivated_agents WHERE id = ?", (agent_id,))
    if deactivated:
        connection.execute("INSERT INTO deactivated_agents (id) VALUES (?)", (agent_id,))


def _write_resources(connection: sqlite3.Connection, record: SaveAgentResources) -> None:
    connection.execute("DELETE FROM agent_resources WHERE id = ?", (record.agent_id,))
    if record.resources != record.configured or record.destroyed:
        connection.execute(
            "INSERT INTO agent_resources (id, configured, resources, destroyed) VALUES (?, ?, ?, ?)",
            (
                record.agent_id,
                resource_rows.to_text(record.configured),
                resource_rows.to_text(record.resources),
                resource_rows.destroyed_to_text(record.destroyed),
            ),
        )


def _write_framework(connection: sqlite3.Connection, record: SaveFramework) -> None:
    info = record.framework
    connection.execute(
        "INSERT OR REPLACE INTO frameworks (id, name, user, principal, roles, capabilities, failover_timeout_ms,"
        " labels, hostname, webui_url, offer_terms, failover_deadline_ns, completed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            info.framework_id,
            info.name,
            info.user,
            info.principal,
            json.dumps(info.roles),
            json.dumps(sorted(info.capabilities)),
            info.failover_timeout_ms,
            json.dumps(info.labels),
            info.hostname,
            info.webui_url,
            offer_terms_rows.to_text(info.offer_terms),
            record.failover_deadline_ns,
            int(record.completed),
        ),
    )


def _write(connection: sqlite3.Connection, record: Save) -> None:
    match record:
        case SaveAgent():
            connection.execute(
                "INSERT OR REPLACE INTO agents (id, hostname, unix_address, tcp_address, unreachable_ns)"
                " VALUES (?, ?, ?, ?, ?)",
                (record.agent_id, record.hostname, record.unix_address, record.tcp_address, record.unreachable_ns),
            )
        case ForgetAgent(agent_id=agent_id):
            connection.execute("DELETE FROM agents WHERE id = ?", (agent_id,))
            connection.execute("DELETE FROM gone_agents WHERE id = ?", (agent_id,))
            _forget_of_agent(connection, agent_id)
        case SaveAgentResources():
            _write_resources(connection, record)
        case SaveDeactivated(agent_id=agent_id, deactivated=deactivated):
            _write_deactivated(connection, agent_id, deactivated=deactivated)
        case SaveMaintenance(windows=windows):
            connection.execute("DELETE FROM maintenance")
            connection.executemany(
                "INSERT INTO maintenance (hostname, start_ns, duration_ns) VALUES (?, ?, ?)",
                [(hostname, window.start_ns, window.duration_ns) for hostname, window in windows],
            )
        case SaveDrain(agent_id=agent_id, drain=drain):
            _write_drain(connection, agent_id, drain)
        case SaveFramework():
            _write_framework(connection, record)
        case SaveWeights(weights_milli=weights):
            connection.execute("DELETE FROM weights")
            connection.executemany("INSERT INTO weights (role, weight_milli) VALUES (?, ?)", weights)
        case SaveQuotas(quotas=quotas):
            connection.execute("DELETE FROM quotas")
            connection.executemany(
                "INSERT INTO quotas (role, guarantees, limits) VALUES (?, ?, ?)",
                [
                    (role, json.dumps(dict(quota.guarantees_milli)), json.dumps(dict(quota.limits_milli)))
                    for role, quota in quotas
                ],
            )
        case SaveAgentGone(agent_id=agent_id):
            connection.execute("DELETE FROM agents WHERE id = ?", (agent_id,))
            _forget_of_agent(connection, agent_id)
            connection.execute("INSERT OR REPLACE INTO gone_agents (id) VALUES (?)", (agent_id,))
