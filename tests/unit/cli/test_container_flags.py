"""What `paddock run` makes of its flags about powers, rlimits and labels, and what people read of it."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paddock.cli import run
from paddock.cli.describe import task_lines
from paddock.cli.run_request import RunRequest
from paddock.model.capabilities import DEFAULT_BOUNDING
from paddock.model.errors import InvalidRequest
from paddock.model.task import ContainerInfo, LinuxInfo, Rlimit
from paddock.wire import convert
from tests.unit.cli.views import task_view


def request(*flags: str) -> RunRequest:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(flags)
    arguments.command = ["true"]
    return run.request_of(arguments)


@pytest.mark.parametrize(
    ("flags", "linux"),
    [
        ((), LinuxInfo()),
        (("--cap-drop=ALL",), LinuxInfo(bounding_capabilities=(), effective_capabilities=())),
        (
            ("--cap-drop=ALL", "--cap-add=net_raw", "--cap-add=CAP_NET_RAW"),
            LinuxInfo(bounding_capabilities=("CAP_NET_RAW",)),
        ),
        (("--cap-add=SYS_PTRACE",), LinuxInfo(bounding_capabilities=(*DEFAULT_BOUNDING, "CAP_SYS_PTRACE"))),
        (("--cap-drop=chown",), LinuxInfo(bounding_capabilities=DEFAULT_BOUNDING[1:])),
    ],
)
def test_powers_are_added_to_and_taken_from_dockers_fourteen(flags: tuple[str, ...], linux: LinuxInfo) -> None:
    assert request(*flags).linux == linux
    message = convert.container_info_to_wire(ContainerInfo(linux=linux))
    assert convert.container_info_from_wire(message).linux == linux


def test_rlimits_and_labels_are_said() -> None:
    found = request(
        "--ulimit=nofile=1024:4096", "--ulimit=core=0", "--ulimit=memlock=unlimited", "--label=b=", "--label=a=x=y"
    )
    assert found.rlimits == (
        Rlimit(resource="RLMT_NOFILE", soft=1024, hard=4096),
        Rlimit(resource="RLMT_CORE", soft=0, hard=0),
        Rlimit(resource="RLMT_MEMLOCK"),
    )
    assert found.labels == (("a", "x=y"), ("b", ""))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--cap-add=ALL"], "capabilities"),
        (["--cap-add="], "capabilities"),
        (["--cap-drop=net raw"], "capabilities"),
        (["--cap-add=KILL", "--cap-drop=KILL"], "leave it out of --cap-add"),
        (["--ulimit=files=1"], "msgqueue, nice, nofile"),
        (["--ulimit=nofile"], "1024:4096"),
        (["--ulimit=nofile=2:1"], "soft not above hard"),
        (["--ulimit=nofile=unlimited:1"], "unlimited"),
        (["--ulimit=nofile=1", "--ulimit=nofile=1"], "once"),
        (["--label=x"], "NAME=VALUE"),
        (["--label=x=1", "--label=x=2"], "once"),
        (["--env=x=1", "--env=x=2"], "once"),
        (["--cap-drop=NET_RWA"], "capabilities"),
        (["--cpus=2", "--cpus-limit=1.5"], "no less than --cpus, 2"),
    ],
)
def test_what_is_wrong_is_said_of_its_flag(flags: list[str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        request(*flags)
    assert refused.value.field == flags[-1].partition("=")[0]


@given(st.sampled_from(["cap-add", "cap-drop", "ulimit", "label"]), st.text("nofileKILL=:0-1_ é", max_size=12))
@settings(deadline=None)
def test_anything_is_taken_or_refused_by_its_flag(flag: str, text: str) -> None:
    refused = None
    assume(text != "--")  # refused before: test_main.py
    try:
        request(f"--{flag}={text}")
    except InvalidRequest as error:
        refused = error  # anything else is a defect
    assert refused is None or refused.field == f"--{flag}"


def test_people_read_them() -> None:
    linux = LinuxInfo(bounding_capabilities=("CAP_KILL",))
    rlimits = (Rlimit(resource="RLMT_NOFILE", soft=1, hard=2), Rlimit(resource="RLMT_CORE"))
    view = task_view("t")
    view = replace(view, task=replace(view.task, container=ContainerInfo(linux=linux, rlimits=rlimits)))
    lines = list(task_lines(view))
    assert ("Capabilities", "CAP_KILL") in lines
    assert ("Rlimit", "RLMT_NOFILE 1:2") in lines
    assert ("Rlimit", "RLMT_CORE unlimited") in lines
