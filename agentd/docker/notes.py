"""What agent and stand-in tell each other about a container, in a directory of root's: files that outlive the agent.

`<container>.go`, the agent's: the engine's id of what is to be started. `<container>.warnings`, for the next agent: what the
engine has left out of it. `<container>.doubt`, for that one too, and empty: the engine was told a size, and has not answered.
`<container>.note`, the stand-in's: whom it has started, or why it could not; at the end what only it has seen.
`<container>.wake`, a FIFO of the stand-in's: the first has come.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.docker.engine_life import FORMAT
from paddock.kernel import notify
from paddock.model.ids import ContainerId

MAX_NOTE_BYTES = 1 << 20
_log = logging.getLogger(__name__)
_GO, _WAKE, _NOTE, _WARNINGS, _DOUBT, _NEW = ".go", ".wake", ".note", ".warnings", ".doubt", ".new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """`pid` 0: it had ended before anybody could look; `main_pid`: the command, where an init is between them. `writes`: where
    it writes on the host beside its sandbox, and where it sees that; None: the engine is to be asked. `failed` None: it was
    started; `failed_status`: the engine's, 0 for no answer; `failed_stage`: the agent's own word, of one never created.
    `counters`: of the engine's own cgroup, at the end. `oom_killed` None: the engine was not asked. `late_ms`: how long the
    stand-in has waited for the engine, after the end. `engine_away`: at the end it answered nobody;
    `engine_silent_ms`: or had not answered so long after it.
    """

    engine_id: str = ""
    pid: int = 0
    main_pid: int = 0
    writes: Mapping[str, str] | None = None
    failed: str | None = None
    failed_status: int = 0
    failed_stage: str = ""
    has_ended: bool = False
    counters: Mapping[str, str] = field(default_factory=dict)
    oom_killed: bool | None = None
    problem: str = ""
    late_ms: int = 0
    engine_away: bool = False
    engine_silent_ms: int = 0


class NoteError(Exception):
    """What this agent cannot read. The message says what it is."""


def parse_note(content: bytes) -> Note:
    """Raises NoteError for what no stand-in of ours has written. A newer one's further fields are left alone."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoteError(f"it is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise NoteError("it is no object")
    if fields.get("format") != FORMAT:
        raise NoteError(f"its format is {str(fields.get('format'))[:40]}, and this agentd reads {FORMAT}")
    oom_killed, failed = fields.get("oom_killed"), fields.get("failed")
    return Note(
        engine_id=_text(fields.get("engine_id")),
        pid=_number(fields.get("pid")),
        main_pid=_number(fields.get("main_pid")),
        # An earlier stand-in wrote the host's paths alone.
        writes=_texts(fields["writes"]) if isinstance(fields.get("writes"), dict) else None,
        failed=_text(failed.get("message")) if isinstance(failed, dict) else None,
        failed_status=_number(failed.get("status")) if isinstance(failed, dict) else 0,
        failed_stage=_text(failed.get("stage")) if isinstance(failed, dict) else "",
        # One that still asks the engine how it ended needs the engine's part of it.
        has_ended="counters" in fields and fields.get("last") is not False,
        counters=_texts(fields.get("counters")),
        oom_killed=oom_killed if isinstance(oom_killed, bool) else None,
        problem=_text(fields.get("problem")),
        late_ms=_number(fields.get("late_ms")),
        engine_away=fields.get("engine_away") is True,
        engine_silent_ms=_number(fields.get("engine_silent_ms")),
    )


class Notes:
    """One directory. Its methods may be called anywhere but `watch`, which is the event loop's."""

    def __init__(self, directory: str) -> None:
        """Touches nothing."""
        self.directory = directory
        self._inotify_fd = -1
        self._read: dict[ContainerId, tuple[tuple[int, int, int], Note | None]] = {}
        """Which file it was, and what stands in it."""

    def make(self) -> None:
        """Raises OSError."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.chmod(self.directory, 0o700)

    def go_path(self, of: ContainerId) -> str:
        """Where the agent's word is."""
        return f"{self.directory}/{of}{_GO}"

    def wake_path(self, of: ContainerId) -> str:
        """Where the stand-in hears of it."""
        return f"{self.directory}/{of}{_WAKE}"

    def note_path(self, of: ContainerId) -> str:
        """Where the stand-in's is."""
        return f"{self.directory}/{of}{_NOTE}"

    def warn(self, of: ContainerId, warnings: Sequence[str]) -> None:
        """Before `go`: whoever tells of the start tells these. Whole or not at all. Raises OSError."""
        path = f"{self.directory}/{of}{_WARNINGS}"
        with open(path + _NEW, "w", encoding="utf-8") as file:
            json.dump(warnings, file)
        os.rename(path + _NEW, path)

    def warnings(self, of: ContainerId) -> tuple[str, ...]:
        """Also those that an earlier agent has heard. What cannot be read is as none."""
        try:
            with open(f"{self.directory}/{of}{_WARNINGS}", "rb") as file:
                found = json.loads(file.read(MAX_NOTE_BYTES))
        except (OSError, ValueError, RecursionError):
            return ()
        return tuple(words for words in found if isinstance(words, str)) if isinstance(found, list) else ()

    def doubt(self, of: ContainerId) -> None:
        """Which size the engine has. What cannot be written, only this agent knows."""
        with suppress(OSError), open(self._doubt_path(of), "wb"):
            pass

    def is_doubted(self, of: ContainerId) -> bool:
        """Whatever stands in it."""
        return os.path.lexists(self._doubt_path(of))

    def trust(self, of: ContainerId) -> None:
        """No doubt any more. Idempotent. One that cannot be removed costs the next agent a word to the engine."""
        with suppress(OSError):
            os.unlink(self._doubt_path(of))

    def _doubt_path(self, of: ContainerId) -> str:
        return f"{self.directory}/{of}{_DOUBT}"

    def go(self, of: ContainerId, engine_id: str) -> None:
        """Have it started. Whole or not at all. Raises OSError."""
        path = self.go_path(of)
        with open(path + _NEW, "w", encoding="ascii") as file:
            file.write(engine_id)
        os.rename(path + _NEW, path)
        try:
            wake_fd = os.open(self.wake_path(of), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # it is not there yet, and looks for the file first
        try:
            os.write(wake_fd, b"\n")
        finally:
            os.close(wake_fd)

    def give_up(self, of: ContainerId, stage: str, message: str) -> None:
        """In place of a stand-in's word: the next agent says the same. What cannot be written, only this one will say."""
        path = self.note_path(of)
        try:
            with open(path + _NEW, "w", encoding="utf-8") as file:
                json.dump({"format": FORMAT, "failed": {"status": 0, "stage": stage, "message": message}}, file)
            os.rename(path + _NEW, path)
        except OSError:
            return

    def read(self, of: ContainerId) -> Note | None:
        """The stand-in's last word; None while there is none. One that makes no sense is as none, and that is said once."""
        path = self.note_path(of)
        try:
            found = os.stat(path)
            # A word is a file of its own; a launch asks for it six times.
            which = (found.st_ino, found.st_mtime_ns, found.st_size)
            read = self._read.get(of)
            if read is None or read[0] != which:
                read = self._read[of] = which, _read(path)
        except OSError:
            return None
        return read[1]

    def forget(self, of: ContainerId) -> None:
        """All of it. Idempotent."""
        self._read.pop(of, None)
        go, note, warnings = self.go_path(of), self.note_path(of), f"{self.directory}/{of}{_WARNINGS}"
        doubt = self._doubt_path(of)
        for path in (go, go + _NEW, self.wake_path(of), note, note + _NEW, warnings, warnings + _NEW, doubt):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def left(self) -> tuple[ContainerId, ...]:
        """Of whom anything is there."""
        names = {os.path.splitext(name.removesuffix(_NEW))[0] for name in os.listdir(self.directory)}
        return tuple(sorted(ContainerId(name) for name in names))

    def watch(self, written: Callable[[ContainerId], None]) -> None:
        """Call this for each note that comes, from now on. Raises KernelError."""
        self._inotify_fd = notify.open_inotify()
        notify.add_inotify_watch(self._inotify_fd, self.directory, notify.IN_MOVED_TO)
        asyncio.get_running_loop().add_reader(self._inotify_fd, self._fired, written)

    def close(self) -> None:
        """No more of them. Idempotent."""
        if self._inotify_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._inotify_fd)
            os.close(self._inotify_fd)
            self._inotify_fd = -1

    def _fired(self, written: Callable[[ContainerId], None]) -> None:
        for event in notify.read_inotify(self._inotify_fd):
            if event.name.endswith(_NOTE):
                written(ContainerId(event.name.removesuffix(_NOTE)))


def _read(path: str) -> Note | None:
    """Raises OSError."""
    with open(path, "rb") as file:
        content = file.read(MAX_NOTE_BYTES)
    try:
        return parse_note(content)
    except NoteError as error:
        _log.warning("a stand-in's note is not understood", extra={"file": path, "error": str(error)})
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
