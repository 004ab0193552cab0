"""The registry's tables, and how each older format becomes the newest: steps that were once released never change."""

FORMAT = 6

_TABLES = """
CREATE TABLE master (id TEXT NOT NULL, epoch INTEGER NOT NULL);
CREATE TABLE agents (
    id TEXT PRIMARY KEY, hostname TEXT NOT NULL, unix_address TEXT NOT NULL, tcp_address TEXT NOT NULL,
    unreachable_ns INTEGER
) WITHOUT ROWID;
CREATE TABLE frameworks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, principal TEXT NOT NULL, roles TEXT NOT NULL,
    capabilities TEXT NOT NULL, failover_timeout_ms INTEGER NOT NULL, labels TEXT NOT NULL, hostname TEXT NOT NULL,
    webui_url TEXT NOT NULL, failover_deadline_ns INTEGER, completed INTEGER NOT NULL
);
CREATE TABLE weights (role TEXT PRIMARY KEY, weight_milli INTEGER NOT NULL) WITHOUT ROWID;
"""

_TABLES_SINCE_2 = """
CREATE TABLE quotas (role TEXT PRIMARY KEY, guarantees TEXT NOT NULL, limits TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE gone_agents (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_TABLES_SINCE_3 = """
CREATE TABLE drains (
    id TEXT PRIMARY KEY, asked_by TEXT NOT NULL, max_grace_ms INTEGER, mark_gone INTEGER NOT NULL, is_done INTEGER NOT NULL
) WITHOUT ROWID;
"""

_TABLES_SINCE_4 = """
CREATE TABLE agent_resources (id TEXT PRIMARY KEY, configured TEXT NOT NULL, resources TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deactivated_agents (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE maintenance (hostname TEXT PRIMARY KEY, start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL) WITHOUT ROWID;
"""

_FROM_FORMAT_4 = """
ALTER TABLE agent_resources ADD COLUMN destroyed TEXT NOT NULL DEFAULT '[]';
"""
"""Before format 5 no agent had anything on its disk that a DESTROY would have to remove."""

_FROM_FORMAT_5 = """
ALTER TABLE frameworks ADD COLUMN offer_terms TEXT NOT NULL DEFAULT '[]';
"""
"""Before format 6 no framework could say which offers it wants."""

_FROM_FORMAT_1 = """
ALTER TABLE agents ADD COLUMN unreachable_ns INTEGER;
UPDATE agents SET unreachable_ns = strftime('%s', 'now') * 1000000000 WHERE reachable = 0;
ALTER TABLE agents DROP COLUMN reachable;
"""
"""Format 1 did not say since when an agent was out of reach: since now."""

STEPS = {
    0: _TABLES + _TABLES_SINCE_2 + _TABLES_SINCE_3 + _TABLES_SINCE_4 + _FROM_FORMAT_4 + _FROM_FORMAT_5,
    1: _FROM_FORMAT_1 + _TABLES_SINCE_2 + _TABLES_SINCE_3 + _TABLES_SINCE_4 + _FROM_FORMAT_4 + _FROM_FORMAT_5,
    2: _TABLES_SINCE_3 + _TABLES_SINCE_4 + _FROM_FORMAT_4 + _FROM_FORMAT_5,
    3: _TABLES_SINCE_4 + _FROM_FORMAT_4 + _FROM_FORMAT_5,
    4: _FROM_FORMAT_4 + _FROM_FORMAT_5,
    5: _FROM_FORMAT_5,
}
"""By the format that was found; 0: an empty file."""
