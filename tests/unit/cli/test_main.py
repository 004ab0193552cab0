"""The entry: verbs, usage errors, speed of --help, one sentence for whatever went wrong."""

from __future__ import annotations

import argparse
import importlib
import os
import pty
import resource
import statistics
import subprocess
import sys

import pytest

from paddock.cli.__main__ import VERBS, listed_verbs, main, overview, parser_of

PADDOCK = os.path.join(os.path.dirname(sys.executable), "paddock")
NOWHERE = "unix:/nonexistent/paddock-test/masterd.sock"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paddock.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out == overview() + "\n"
    assert all(f"  {verb} " in out for verb in (*VERBS, "replay", "simulate"))
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert listed == [verb for verb, _ in listed_verbs()], "each under one heading, in the order of the reference"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_module(verb: str) -> None:
    module = importlib.import_module(f"paddock.cli.{verb}")
    assert parser_of(verb, module, VERBS[verb]).format_help().startswith(f"usage: paddock {verb}")


LOOKING = {
    "status", "ps", "describe", "inspect", "logs", "top", "wait", "agents", "frameworks", "offers", "roles",
    "reservations", "doctor", "explain", "completion", "events",
}  # fmt: skip
LAUNCHING = {"run", "exec"}


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - LOOKING - LAUNCHING))
def test_what_changes_something_can_be_tried_first(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    actions = {"quota": ["set"], "volumes": ["create"], "maintenance": ["schedule"]}.get(verb, [])
    with pytest.raises(SystemExit):
        main([verb, *actions, "--help"])
    assert "--dry-run" in capsys.readouterr().out


def test_without_a_verb_the_usage_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: paddock VERB" in captured.err


def test_a_mistyped_verb_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for mistyped, verb in (("agnets", "agents"), ("simulat", "simulate")):
        assert main([mistyped]) == 2
        assert f"did you mean `paddock {verb}`?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--", "echo", "a\udcff"),
        ("run", "--env=A=a\udcff", "--", "true"),
        ("--master=unix:/a\udcff", "ps"),
        ("describe", "a\udcff"),
        ("exec", "task", "--", "a\udcff"),
    ],
)
def test_bytes_that_are_no_utf_8_are_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words]) == 2
    told = capsys.readouterr().err
    assert "a\\xff" in told
    assert told.endswith("' is not accepted: write it in UTF-8\n")
    assert told.count("\n") == 1


def test_a_wrong_argument_is_usage() -> None:
    assert run("ps", "--nothing-of-ours").returncode == 2


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--mem", "-1"), "--mem"),
        (("--mem", "nan"), "--mem"),
        (("--cpus", "inf"), "--cpus"),
        (("--cpus", "0"), "--cpus"),
        (("--mem", "1e99"), "--mem"),
        (("--disk", "12MB"), "--disk"),
        (("--pids", "0"), "--pids"),
        (("--timeout", "soon"), "--timeout"),
        (("--timeout", "0"), "--timeout"),
        (("--role", "a/../b"), "--role"),
        (("--env", "no-equals"), "--env"),
        (("--signal", "HUHU"), "--signal"),
        (("--uri", "ftp://example.com/x"), "--uri.value"),
        (("--uri", "/x,exectuable"), "--uri"),
        (("--uri", "/x,sha256=12"), "--uri.checksum"),
        (("--cap-add", "--"), "--cap-add"),
        (("--cap-drop", "NET_RWA"), "--cap-drop"),
        (("--cpus-limit", "0"), "--cpus-limit"),
        (("--cpus-limit", "0.05"), "--cpus-limit"),
        (("--mem-limit", "63MiB"), "--mem-limit"),
    ],
)
def test_bad_input_is_one_sentence_naming_the_flag(words: tuple[str, str], flag: str) -> None:
    # The = form, so that argparse takes -1 for a value.
    done = run("run", f"{words[0]}={words[1]}", "--master", NOWHERE, "--", "/bin/true")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"paddock run: {flag}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [("run",), ("run", "--"), ("run", "--", ""), ("exec", "x"), ("exec", "x", "-i", "--", "")]
)
def test_no_command_is_usage(words: tuple[str, ...]) -> None:
    done = run(*words, PADDOCK_MASTER=NOWHERE)
    assert done.returncode == 2
    assert "write the command after --" in done.stderr


@pytest.mark.parametrize("words", [("run", "sleep", "5"), ("exec", "t", "sleep", "5")])
def test_a_command_without_the_separator_is_shown_with_it(words: tuple[str, ...]) -> None:
    done = run(*words, PADDOCK_MASTER=NOWHERE)
    assert done.returncode == 2
    assert "write the command after --, as in: -- sleep 5\n" in done.stderr


@pytest.mark.parametrize("words", [(f"--master={NOWHERE}", "ps"), ("--master", NOWHERE, "run", "--", "true")])
def test_the_master_may_be_named_before_the_verb(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 6, done.stderr
    assert NOWHERE.removeprefix("unix:") in done.stderr


@pytest.mark.parametrize("words", [("--master",), ("--master", NOWHERE), (f"--master={NOWHERE}",)])
def test_a_master_without_a_verb_is_usage(words: tuple[str, ...]) -> None:
    assert run(*words).returncode == 2


def test_a_command_before_the_separator_is_usage() -> None:
    assert run("run", "/bin/true", "--", "x", PADDOCK_MASTER=NOWHERE).returncode == 2


def test_what_stands_after_the_separator_is_the_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[list[str], str, bool]] = []

    async def exec_run(arguments: argparse.Namespace) -> int:
        given.append((arguments.command, arguments.task, arguments.stdin))
        return 0

    monkeypatch.setattr(importlib.import_module("paddock.cli.exec"), "run", exec_run)
    assert main(["exec", "t", "-i", "--", "sh", "-c", "x", "--", "--master", "y"]) == 0
    assert given == [(["sh", "-c", "x", "--", "--master", "y"], "t", True)]


def test_ctrl_c_while_it_loads_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main(["ps"]) == 130


@pytest.mark.parametrize(
    "words", [("ps",), ("agents",), ("wait", "x"), ("logs", "x"), ("exec", "x", "--", "true"), ("run", "--", "true")]
)
def test_no_master_is_unavailable_and_named(words: tuple[str, ...]) -> None:
    done = run(*words, PADDOCK_MASTER=NOWHERE)
    assert done.returncode == 6, done.stderr
    assert done.stdout == ""
    assert NOWHERE.removeprefix("unix:") in done.stderr
    assert "): start masterd, or say its address by --master or PADDOCK_MASTER" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_bad_address_is_usage() -> None:
    done = run("ps", "--master", "nowhere at all")
    assert done.returncode == 2
    assert "unix:/path or host:port" in done.stderr


def test_help_is_quick_and_loads_no_grpc() -> None:
    script = (
        "import sys; from paddock.cli.__main__ import main; main(['--help']); "
        "sys.exit(bool({'grpc', 'google', 'yaml', 'masterd.core', 'importlib.metadata'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=False).returncode == 0
    # Beside the interpreter's own start, so that a slow machine does not matter; best of seven against neighbours.
    ours, bare = [], []
    for _ in range(7):
        bare.append(_took_s([sys.executable, "-c", "import argparse, asyncio"]))
        ours.append(_took_s([PADDOCK, "--help"]))
    assert min(ours) < max(0.1, 1.7 * min(bare)), (min(ours), statistics.median(ours), min(bare))


def _took_s(command: list[str]) -> float:
    """Of a processor: it does not wait for its neighbours."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("no_color", ["", "1"])
def test_there_are_no_colours_on_a_terminal_either(no_color: str) -> None:
    ours, its = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color", "PADDOCK_MASTER": NOWHERE}
    try:
        for words in (["--help"], ["run", "--help"], ["ps"]):
            command = [sys.executable, "-m", "paddock.cli", *words]
            subprocess.run(command, stdout=its, stderr=its, env=environment, check=False, timeout=60)
            told = os.read(ours, 65536)
            assert told
            assert b"\x1b" not in told
    finally:
        os.close(ours)
        os.close(its)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--cpu", "0.5", "--", "true"], "there is no flag --cpu; did you mean --cpus?"),
        (["kill", "t", "--graec=1s"], "there is no flag --graec; did you mean --grace?"),
        (["run", "--rm", "--", "true"], "there is no flag --rm; `paddock run --help` lists the flags"),
        (["run", "--shm=1", "--", "true"], "there is no flag --shm; did you mean --shm-size?"),
        (["ps", "--zzzzzz"], "there is no flag --zzzzzz; `paddock ps --help` lists the flags"),
        (["ps", "web"], "unrecognized arguments: web; `paddock ps --help` lists them"),
    ],
)
def test_a_mistyped_flag_is_named_with_the_nearest(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)
