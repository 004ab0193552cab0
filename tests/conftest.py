"""Lays the rules of a session over every test (session_rules.py); its slowest part runs beside the others (beside.py)."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.beside import REPORTS_OPTION, Beside, ReportWriter
from tests.session_rules import SessionRules

# A real Docker engine, for whichever part asks for one.
pytest_plugins = ["tests.engine.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ours."""
    parser.addoption(
        "--leftovers",
        choices=("fail", "report"),
        help="what something left behind does to the session: by default the whole suite fails, and a part of it, "
        "beside which others may be working, reports",
    )
    parser.addoption(
        "--leftovers-grace",
        type=float,
        default=60,
        help="how many seconds something has to go before it fails the session; what is only reported has 5 at most",
    )
    parser.addoption(
        REPORTS_OPTION, type=Path, help="a file for this session's reports, for the session that started it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the rules, and that no property fails because the machine was slow."""
    # Some hundred daemons are started: each would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    settings.register_profile("paddock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("paddock")
    chosen = config.getoption("--leftovers")
    is_whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    fails = chosen == "fail" if chosen else is_whole_suite
    root = Path(__file__).parent
    grace_s = config.getoption("--leftovers-grace")
    config.pluginmanager.register(SessionRules(root=root, leftovers_fail=fails, grace_s=grace_s))
    config.pluginmanager.register(Beside(root / "vm", root.parent / "build"))
    if path := config.getoption(REPORTS_OPTION):
        config.pluginmanager.register(ReportWriter(path, config))
