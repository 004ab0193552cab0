"""The suite's own rules can fail: each is broken once in a small suite of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = (ROOT / "tests/conftest.py").read_text(encoding="utf-8")

INI = """
[pytest]
addopts = --import-mode=importlib -m "not long" -p no:cacheprovider -p no:hypothesispytest -p no:asyncio
markers = long
testpaths = suite
"""

# Others may be at work on this machine: only the tests of leftovers fail for them.
REPORT = "--leftovers=report"


def run_suite(directory: Path, tests: dict[str, str], *options: str) -> tuple[int, list[str]]:
    """Run a suite made of the named files under our rules; the exit code and the lines of the output."""
    for name, body in tests.items():
        path = directory / "suite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    (directory / "suite/conftest.py").write_text(CONFTEST, encoding="utf-8")
    (directory / "pytest.ini").write_text(INI, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--leftovers-grace=5", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [*done.stderr.splitlines(), *done.stdout.splitlines()]


PASSES = "def test_passes():\n    pass\n"


def test_a_clean_suite_passes_and_prints_the_parts_before_the_last_line(tmp_path: Path) -> None:
    code, lines = run_suite(tmp_path, {"unit/test_a.py": PASSES, "architecture/test_b.py": PASSES}, "-v", REPORT)
    assert code == 0, lines
    text = "\n".join(lines)
    assert text.index("architecture/test_b.py") < text.index("unit/test_a.py")
    times = [line.split() for line in lines if line.endswith(" tests")]
    assert [words[0] for words in times] == ["architecture", "unit"]
    assert "2 passed" in lines[-1]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("import pytest\n@pytest.mark.skip\ndef test_it(): pass\n", "skipped"),
        ("import pytest\ndef test_it(): pytest.skip('why')\n", "skipped"),
        ("import pytest\ndef test_it(): pytest.xfail('why')\n", "xfailed"),
        ("import pytest\npytest.importorskip('not_there')\n", "skipped"),
    ],
    ids=["mark", "call", "xfail", "module"],
)
def test_a_test_that_is_not_run_fails_the_session_by_name(tmp_path: Path, body: str, word: str) -> None:
    code, lines = run_suite(tmp_path, {"unit/test_it.py": body, "unit/test_ok.py": PASSES}, REPORT)
    assert code == 1
    assert any("unit/test_it.py" in line and line.endswith(f": {word}") for line in lines), lines
    assert "1 error" in lines[-1]


def test_a_deselected_long_test_is_no_skip(tmp_path: Path) -> None:
    body = f"import pytest\n{PASSES}@pytest.mark.long\ndef test_long(): pass\n"
    code, lines = run_suite(tmp_path, {"unit/test_it.py": body}, REPORT)
    assert code == 0, lines
    assert "1 deselected" in lines[-1]


LEAVES_A_FILE = "import pathlib\ndef test_leaves():\n    pathlib.Path('{path}').touch()\n"
LEAVES_A_PROCESS = "import subprocess\ndef test_leaves():\n    subprocess.Popen(['sleep', '300'])\n"


def test_a_file_left_behind_fails_the_whole_suite_and_is_named(tmp_path: Path) -> None:
    left = Path(f"/tmp/paddock-session-rules-{os.getpid()}")
    suite = {"unit/test_it.py": LEAVES_A_FILE.format(path=left)}
    try:
        code, lines = run_suite(tmp_path, suite)
        assert code == 1
        assert f"file {left}" in lines
        left.unlink()
        code, lines = run_suite(tmp_path, suite, "suite/unit")
        assert code == 0, "a part of the suite reports only"
        assert f"file {left}" in lines
        _, lines = run_suite(tmp_path, suite)
        assert f"file {left}" not in lines, "what was there before is not the suite's"
    finally:
        left.unlink(missing_ok=True)


def test_a_cgroup_left_behind_is_named(tmp_path: Path) -> None:
    name = f"paddock-session-rules-{os.getpid()}"
    mount = next(
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        if " - cgroup" in line
    )
    cgroup = Path(mount) / name
    try:
        code, lines = run_suite(tmp_path, {"unit/test_it.py": f"import os\ndef test_leaves(): os.mkdir('{cgroup}')\n"})
        assert code == 1
        assert f"cgroup {cgroup}" in lines
    finally:
        cgroup.rmdir()


def test_a_process_left_behind_is_named(tmp_path: Path) -> None:
    code, lines = run_suite(tmp_path, {"unit/test_it.py": LEAVES_A_PROCESS})
    assert code == 1
    (line,) = [line for line in lines if line.startswith("process ") and line.endswith("sleep 300")]
    os.kill(int(line.split()[1]), 9)


def test_a_test_outside_the_parts_is_refused(tmp_path: Path) -> None:
    code, lines = run_suite(tmp_path, {"elsewhere/test_it.py": PASSES})
    assert code == pytest.ExitCode.USAGE_ERROR
    assert any("is in no part of the suite" in line for line in lines), lines


def test_a_part_beside_runs_at_once_and_is_told_in_its_turn(tmp_path: Path) -> None:
    """Each of the two waits for the other's file: in turn they could not pass. A failure is told whole, a skip is one."""
    meets = """import os, time
def test_meets():
    open({mine!r}, "w").close()
    deadline_s = time.monotonic() + 30
    while not os.path.exists({other!r}):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
"""
    here, beside = str(tmp_path / "here"), str(tmp_path / "beside")
    more = "import pytest\ndef test_fails(): assert 1 + 1 == 3\ndef test_skips(): pytest.skip('not today')\n"
    tests = {
        "unit/test_here.py": meets.format(mine=here, other=beside),
        "vm/test_beside.py": meets.format(mine=beside, other=here),
        "vm/test_more.py": more,
    }
    code, lines = run_suite(tmp_path, tests, "-v", REPORT)
    assert code == 1, lines
    assert "1 failed, 2 passed, 1 skipped" in lines[-1]
    text = "\n".join(lines)
    assert "assert (1 + 1) == 3" in text
    assert "suite/vm/test_more.py::test_skips: skipped" in text
    assert text.index("test_here.py::test_meets PASSED") < text.index("test_beside.py::test_meets PASSED")


def test_what_was_set_up_for_all_tests_is_ended_before_leftovers_are_looked_for(tmp_path: Path) -> None:
    left = Path(f"/tmp/paddock-session-rules-{os.getpid()}")
    body = f"""import pathlib, pytest
@pytest.fixture(scope="session")
def file():
    path = pathlib.Path({str(left)!r})
    path.touch()
    yield
    path.unlink()
    {{}}
def test_uses_it(file): pass
"""
    for last_word, problem in (("pass", ""), ("raise RuntimeError('was not ended')", "1 error")):
        tests = {"unit/test_here.py": body.format(last_word), "vm/test_beside.py": PASSES}
        _, lines = run_suite(tmp_path, tests)
        assert "2 passed" in lines[-1]
        assert problem in lines[-1]
        assert f"file {left}" not in lines
        assert any("was not ended" in line for line in lines) is bool(problem)


def test_a_session_beside_that_dies_fails_its_tests_with_its_last_words(tmp_path: Path) -> None:
    dies = "import os\ndef test_dies():\n    os.write(2, b'last words'); os._exit(3)\n"
    code, lines = run_suite(tmp_path, {"unit/test_here.py": PASSES, "vm/test_dies.py": dies}, "-s", REPORT)
    assert code == 1
    assert "1 failed, 1 passed" in lines[-1]
    assert any("the session beside ended with 3" in line for line in lines), lines
