"""What agent and stand-in leave for each other, whatever else is in their place."""

import asyncio
import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.notes import Note, NoteError, Notes, parse_note
from paddock.model.ids import ContainerId

C1 = ContainerId("c.1-a")


def test_a_note_of_a_start_of_a_failure_and_of_an_end() -> None:
    assert parse_note(b'{"format": 1, "engine_id": "ab", "pid": 7, "main_pid": 8, "new": 1}') == Note(
        engine_id="ab", pid=7, main_pid=8
    )
    writing = parse_note(b'{"format": 1, "engine_id": "ab", "writes": {"/layer": "/", "/x": 4, "/volume": "/v"}}')
    assert writing == Note(engine_id="ab", writes={"/layer": "/", "/volume": "/v"})
    earlier = parse_note(b'{"format": 1, "engine_id": "ab", "writes": ["/layer", "/volume"]}')
    assert earlier == Note(engine_id="ab"), "the engine is asked"
    failed = parse_note(b'{"format": 1, "failed": {"status": 404, "message": "no such image"}}')
    assert failed == Note(failed="no such image", failed_status=404)
    ended = parse_note(
        b'{"format": 1, "engine_id": "ab", "pid": 7, "counters": {"pids/pids.events": "max 3\\n", "x": 4},'
        b' "oom_killed": true, "problem": "late", "late_ms": 7, "engine_away": true, "engine_silent_ms": 9}'
    )
    assert ended == Note(
        engine_id="ab",
        pid=7,
        has_ended=True,
        counters={"pids/pids.events": "max 3\n"},
        oom_killed=True,
        problem="late",
        late_ms=7,
        engine_away=True,
        engine_silent_ms=9,
    )


def test_an_end_of_which_the_engine_is_still_asked_is_none_yet() -> None:
    asking = parse_note(b'{"format": 1, "engine_id": "ab", "counters": {"x": "4"}, "late_ms": 7, "last": false}')
    assert asking == Note(engine_id="ab", counters={"x": "4"}, late_ms=7)
    assert parse_note(b'{"format": 1, "engine_id": "ab", "counters": {}, "last": true}').has_ended


@given(st.text(max_size=100), st.text(max_size=1000))
def test_what_an_agent_gave_up_is_read_as_it_was_said(stage: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        notes = Notes(directory)
        notes.give_up(C1, stage, message)
        assert notes.read(C1) == Note(failed=message, failed_stage=stage)
        assert notes.left() == (C1,)
        Notes(f"{directory}/none-such").give_up(C1, stage, message)  # a full disk keeps nobody from anything


def test_what_the_engine_left_out_is_read_by_the_next_agent_until_it_is_forgotten(tmp_path: Path) -> None:
    Notes(str(tmp_path)).warn(C1, ("no blkio weight", "nö swap"))
    following = Notes(str(tmp_path))
    assert following.warnings(C1) == ("no blkio weight", "nö swap")
    assert following.left() == (C1,)
    for content in (b"", b"{}", b"[1]", b"[" * 100_000, b"\xff"):
        (tmp_path / f"{C1}.warnings").write_bytes(content)
        assert following.warnings(C1) == ()
    following.forget(C1)
    assert not list(tmp_path.iterdir())
    assert following.warnings(C1) == ()


def test_a_doubt_is_the_next_agents_too_until_there_is_none(tmp_path: Path) -> None:
    Notes(str(tmp_path)).doubt(C1)
    following = Notes(str(tmp_path))
    assert following.is_doubted(C1)
    assert following.left() == (C1,)
    for _ in range(2):
        following.trust(C1)
    assert not following.is_doubted(C1)
    following.doubt(C1)
    following.forget(C1)
    assert not list(tmp_path.iterdir())
    nowhere = Notes(f"{tmp_path}/none-such")
    nowhere.doubt(C1)  # nor does a full disk keep anybody from anything
    assert not nowhere.is_doubted(C1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": 2, "engine_id": "ab"}', "its format is 2, and this agentd reads 1"),
        (b'{"engine_id": "ab"}', "its format is None"),
        (b"[]", "no object"),
        (b'{"format": 1', "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_note_of_ours_is_not_guessed_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, words: str
) -> None:
    notes = Notes(str(tmp_path))
    Path(notes.note_path(C1)).write_bytes(content)
    assert notes.read(C1) is None
    assert notes.read(C1) is None, "and said once"
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert words in vars(warning)["error"]
    assert vars(warning)["file"] == notes.note_path(C1)
    notes.forget(C1)
    Path(notes.note_path(C1)).write_bytes(content)
    notes.read(C1)
    assert len(caplog.records) == 2, "this is another one's"


def refuse(*_words: object, **_named: object) -> None:
    raise OSError(errno.EMFILE, "too many open files")


def test_each_word_is_read_once_and_a_later_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes(str(tmp_path))
    parsed: list[bytes] = []

    def noted(content: bytes) -> Note:
        parsed.append(content)
        return parse_note(content)

    monkeypatch.setattr("agentd.docker.notes.parse_note", noted)
    for pid in (3, 4, 5):
        (tmp_path / "new").write_text(f'{{"format": 1, "pid": {pid}}}')
        (tmp_path / "new").rename(notes.note_path(C1))
        for _ in range(3):
            assert notes.read(C1) == Note(pid=pid)
    assert len(parsed) == 3
    (tmp_path / "new").write_text('{"format": 1, "pid": 6}')
    (tmp_path / "new").rename(notes.note_path(C1))
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        assert notes.read(C1) is None
    assert notes.read(C1) == Note(pid=6), "what could not be read once is read when it can be"
    notes.forget(C1)
    assert notes.read(C1) is None


@given(
    st.binary(max_size=200) | st.from_regex(rb'\{"format": 1, "[a-z_]{1,12}": [0-9"\[\]{}a-z]{0,20}\}', fullmatch=True)
)
def test_any_bytes_are_a_note_or_an_error(content: bytes) -> None:
    with suppress(NoteError):
        assert isinstance(parse_note(content), Note)


def test_whoever_waits_for_the_word_is_woken_by_it(tmp_path: Path) -> None:
    notes = Notes(str(tmp_path))
    os.mkfifo(notes.wake_path(C1))
    notes.go(C1, "ab")  # nobody has opened it yet
    waiting = os.open(notes.wake_path(C1), os.O_RDWR | os.O_NONBLOCK)
    notes.go(C1, "cd")
    assert os.read(waiting, 16) == b"\n"
    os.close(waiting)
    assert Path(notes.go_path(C1)).read_text() == "cd"
    notes.forget(C1)
    assert notes.left() == ()


def test_everything_of_a_container_is_found_and_forgotten(tmp_path: Path) -> None:
    notes = Notes(f"{tmp_path}/docker")
    notes.make()
    assert notes.read(C1) is None
    notes.go(C1, "ab" * 32)
    Path(notes.note_path(C1) + ".new").write_text("{")
    Path(notes.note_path(ContainerId("other"))).write_text('{"format": 1}')
    assert notes.read(C1) is None
    assert notes.left() == (C1, "other")
    for _ in range(2):
        notes.forget(C1)
    assert notes.left() == ("other",)
    assert notes.read(ContainerId("other")) == Note()


async def test_each_note_that_comes_is_told(tmp_path: Path) -> None:
    notes = Notes(f"{tmp_path}/docker")
    notes.make()
    told: asyncio.Queue[ContainerId] = asyncio.Queue()
    notes.watch(told.put_nowait)
    notes.go(C1, "ab")
    (tmp_path / "docker" / "new").write_text('{"format": 1}')
    (tmp_path / "docker" / "new").rename(notes.note_path(C1))
    async with asyncio.timeout(20):
        assert await told.get() == C1
    assert told.empty()
    for _ in range(2):
        notes.close()
