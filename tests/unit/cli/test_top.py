"""`paddock top`: rates from two looks, rows, sums, order, and tables that take each other's place on a terminal only."""

import argparse
import contextlib
import io
import json
import re
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.cli import top
from paddock.cli.__main__ import main
from paddock.cli.exit_codes import USAGE
from paddock.cli.rates import Rates, rates_between
from paddock.cli.top_roles import role_uses
from paddock.cli.top_rows import AgentUse, TaskUse
from paddock.cli.top_sampling import total_of, total_rates
from paddock.model.resource_text import parse_resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import TaskState
from paddock.rpc.clients.policy import RoleView
from tests.unit.cli.views import task_view

MIB = 1 << 20
S = 10**9
BUSY = ResourceStatistics(
    memory_anon_bytes=3 * MIB,
    memory_working_set_bytes=4 * MIB,
    memory_limit_bytes=64 * MIB,
    pids_count=3,
    pids_limit_count=50,
    disk_used_bytes=MIB,
    disk_limit_bytes=16 * MIB,
)


def use(name: str, *, measured: ResourceStatistics = BUSY, cpus_milli: int | None = 0) -> TaskUse:
    return TaskUse(
        name=name,
        task_name="n",
        framework_id="f1",
        framework_name="tests",
        role="*",
        agent_id="a1",
        hostname="here",
        measured=measured,
        rates=Rates(cpus_milli=cpus_milli, throttled_permille=None),
    )


AGENT = AgentUse(
    name="a1",
    hostname="here",
    state="active",
    container_count=2,
    cpus_held_milli=500,
    cpus_milli=2000,
    mem_held_milli=64_000,
    mem_milli=1_024_000,
    measured=BUSY,
    rates=Rates(cpus_milli=1234, throttled_permille=55),
)


def look(at_s: float, cpu_s: float, periods: int | None = None, throttled: int | None = None) -> ResourceStatistics:
    return ResourceStatistics(
        timestamp_ns=int(at_s * S),
        cpu_usage_us=int(cpu_s * 10**6),
        cpu_period_count=periods,
        cpu_throttled_count=throttled,
    )


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    top.add_arguments(parser)
    return parser.parse_args(words)


def test_rates() -> None:
    assert rates_between(look(10, 5, 100, 10), look(12, 6, 120, 15)) == Rates(cpus_milli=500, throttled_permille=250)
    assert rates_between(look(10, 5, 100, 10), look(12, 6, 100, 10)) == Rates(cpus_milli=500, throttled_permille=0)
    assert rates_between(look(10, 5), look(12, 6)) == Rates(cpus_milli=500)
    assert rates_between(None, look(12, 6)) == Rates()
    assert rates_between(look(10, 5), look(10, 6)) == Rates()  # no time has passed
    assert rates_between(look(10, 5), look(12, 4)) == Rates()  # another container's counter


counts = st.none() | st.integers(0, 2**63)
measured = st.builds(
    ResourceStatistics,
    timestamp_ns=st.integers(0, 2**63),
    cpu_usage_us=counts,
    cpu_period_count=counts,
    cpu_throttled_count=counts,
)


@given(st.none() | measured, measured)
def test_no_rate_is_below_nothing_or_guessed(earlier: ResourceStatistics | None, later: ResourceStatistics) -> None:
    rates = rates_between(earlier, later)
    assert rates.cpus_milli is None or rates.cpus_milli >= 0
    assert rates.throttled_permille is None or 0 <= rates.throttled_permille <= 1000
    if earlier is None or later.cpu_usage_us is None or earlier.cpu_usage_us is None:
        assert rates.cpus_milli is None


def test_an_agents_figures_are_the_sum_of_its_containers() -> None:
    total = total_of([BUSY, BUSY, ResourceStatistics(pids_count=1)])
    assert (total.memory_anon_bytes, total.pids_count, total.memory_oom_kill_count) == (6 * MIB, 7, None)
    assert total.memory_limit_bytes is None  # a sum of limits bounds nothing
    rates = [Rates(cpus_milli=100, throttled_permille=5), Rates(cpus_milli=50, throttled_permille=7), Rates()]
    assert total_rates(rates, is_asked=True) == Rates(cpus_milli=150, throttled_permille=7)
    assert total_rates([], is_asked=True) == Rates(cpus_milli=0, throttled_permille=0)
    assert total_rates([], is_asked=False) == Rates()
    assert total_rates([Rates()], is_asked=True) == Rates()


def test_the_table_of_tasks_is_sorted_and_what_is_not_known_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    found = [use("idle"), use("busy", cpus_milli=1234), use("unseen", measured=ResourceStatistics(), cpus_milli=None)]
    top.print_use(found, arguments("--once"))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == [
        "TASK", "HOST", "CPU %", "THROTTLED %", "ANON", "WORKING SET", "MEM LIMIT", "PIDS", "DISK",
    ]  # fmt: skip
    assert cells[1] == ["busy", "here", "123.4", "-", "3 MiB", "4 MiB", "64 MiB", "3/50", "1 MiB/16 MiB"]
    assert [line[0] for line in cells[1:]] == ["busy", "idle", "unseen"]
    assert cells[3][2:] == ["-"] * 7
    top.print_use([use("a", measured=replace(BUSY, pids_count=2)), use("b")], arguments("--once", "--sort=pids"))
    assert capsys.readouterr().out.splitlines()[1].startswith("b ")


def test_the_table_of_agents(capsys: pytest.CaptureFixture[str]) -> None:
    top.print_use([AGENT], arguments("agents", "--once", "--no-headers"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == [
        "a1",
        "here",
        "active",
        "2",
        "123.4",
        "0.5/2",
        "5.5",
        "3",
        "MiB",
        "4",
        "MiB",
        "64",
        "MiB/1",
        "GiB",
        "3",
        "1",
        "MiB",
    ]


def test_json_is_one_line_with_every_field_and_null_for_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    top.print_use([use("t1", cpus_milli=None), AGENT], arguments("--once", "-o", "json"))
    (line,) = capsys.readouterr().out.splitlines()
    agent, task = json.loads(line)
    assert (task["task_id"], task["cpus_milli"], task["pids_count"], task["framework_id"]) == ("t1", None, 3, "f1")
    assert (agent["agent_id"], agent["cpus_milli"], agent["throttled_permille"]) == ("a1", 1234, 55)
    assert agent["cpus_held_milli"] == 500


def role(name: str, share: float | None = None, **changes: Any) -> RoleView:
    view = RoleView(
        role=name,
        weight_milli=1000,
        guarantees_milli={},
        limits_milli={},
        consumed_milli={"cpus": 0},
        reserved_milli={"cpus": 0},
        allocated=parse_resources(""),
        offered=parse_resources(""),
        framework_ids=(),
        share=share,
        document="",
    )
    return replace(view, **changes)


PROD = role(
    "prod",
    0.25,
    weight_milli=2500,
    guarantees_milli={"cpus": 4000},
    limits_milli={"cpus": 8000, "mem": 1_024_000},
    reserved_milli={"cpus": 500, "mem": 0},
    allocated=parse_resources("cpus:2;ports:[31000-31001]").allocated_to("prod"),
    offered=parse_resources("cpus:0.5").allocated_to("prod"),
    framework_ids=("f1", "f2"),
)


def test_the_table_of_roles_is_sorted_by_share_and_counts_what_lives(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [replace(task_view("t", state=state), role="prod") for state in TaskState]
    living = sum(not state.is_terminal for state in TaskState)
    found = role_uses([role("empty"), role("idle", 0.0), role("a", 0.0), PROD, role("greedy", 3.5)], tasks)
    top.print_use(found, arguments("roles", "--once"))
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == [
        "ROLE", "SHARE", "WEIGHT", "GUARANTEE", "LIMIT", "RESERVED", "ALLOCATED", "OFFERED", "FRAMEWORKS", "TASKS",
    ]  # fmt: skip
    assert [line[0] for line in lines[1:]] == ["greedy", "prod", "a", "idle", "empty"]
    assert lines[2][1:] == [
        "0.2500", "2.5", "cpus:4", "cpus:8;mem:1024", "cpus:0.5", "cpus:2;ports:[31000-31001]", "cpus:0.5", "2",
        str(living),
    ]  # fmt: skip
    assert lines[5][1:] == ["-", "1", *["-"] * 5, "0", "0"]
    top.print_use(found, arguments("roles", "--once", "--no-headers", "--sort=name"))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "a", "empty", "greedy", "idle", "prod",
    ]  # fmt: skip


def test_roles_as_json_say_every_figure_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    top.print_use(role_uses([role("empty"), PROD], ()), arguments("roles", "--once", "-o", "json"))
    (line,) = capsys.readouterr().out.splitlines()
    prod, empty = json.loads(line)
    assert prod == {
        "role": "prod",
        "weight_milli": 2500,
        "share": 0.25,
        "guarantees_milli": {"cpus": 4000},
        "limits_milli": {"cpus": 8000, "mem": 1_024_000},
        "reserved_milli": {"cpus": 500},
        "consumed_milli": {},
        "allocated_milli": {"cpus": 2000, "ports": 2000},
        "offered_milli": {"cpus": 500},
        "framework_count": 2,
        "task_count": 0,
    }
    assert (empty["role"], empty["share"]) == ("empty", None)


words = st.text("ab/é\x1b\n\u202e ", max_size=6)
amounts = st.dictionaries(words, st.integers(0, 2**60), max_size=3)
role_views = st.builds(
    role,
    words,
    st.none() | st.floats(0, 1e9),
    guarantees_milli=amounts,
    limits_milli=amounts,
    reserved_milli=amounts,
)


@settings(max_examples=40)
@given(st.lists(role_views, max_size=6))
def test_any_roles_have_an_order_and_a_line_each(views: list[RoleView]) -> None:
    found = role_uses(views, ())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        top.print_use(found, arguments("roles", "--once", "--no-headers"))
        top.print_use(found, arguments("roles", "-o", "json"))
    lines = printed.getvalue().split("\n")
    assert len(lines) == len(views) + 2
    shares = [-1.0 if each["share"] is None else each["share"] for each in json.loads(lines[-2])]
    assert shares == sorted(shares, reverse=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_on_a_terminal_a_table_takes_the_place_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for place in (terminal, pipe):
        monkeypatch.setattr(sys, "stdout", place)
        top.print_use([use("t1")], arguments())
        top.print_use(role_uses([PROD], ()), arguments("roles"))
    assert terminal.getvalue().startswith("\x1b[H\x1b[J")
    assert terminal.getvalue().count("\x1b[H\x1b[J") == 2
    assert "\x1b" not in pipe.getvalue()
    assert pipe.getvalue().endswith("\n\n")


def test_a_strangers_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    top.print_use([use("\x1b[2Jx")], arguments("--once"))
    top.print_use(role_uses([role("\x1b[2Jx")], ()), arguments("roles", "--once"))
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--interval=0", "--interval=99ms", "--interval=soon"])
def test_an_interval_that_is_none_is_usage(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", word]) == USAGE
    assert "--interval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("roles", "--sort=cpu"), "roles are sorted by share or name"),
        (("tasks", "--sort=share"), "tasks have none; use one of cpu, "),
        (("agents", "--sort=share"), "agents have none; use one of cpu, "),
        (("roles", "--framework=f1"), "use it with `top tasks`"),
        (("agents", "--framework=f1"), "use it with `top tasks`"),
    ],
)
def test_what_would_have_no_effect_is_usage(
    words: tuple[str, ...], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", *words, "--once"]) == USAGE
    said = capsys.readouterr().err
    assert remedy in said
    assert words[1].partition("=")[0] in said
