"""The agent's log as format 1 was written, by real agents: with each kind of entry, all of it read by whoever comes later.

An entry is a JSON object whose names are only added. What an entry said then it must still say: nothing of it may get lost.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agentd.checkpoint import CheckpointLog, parse
from agentd.checkpoint_writer import decode_frames
from agentd.core.durable import DurableEntry
from paddock.daemon.durable_codec import to_bytes
from paddock.model.errors import CheckpointError

GOLDEN = Path(__file__).parent / "golden" / "log-1"


def differences(then: object, now: object, where: str) -> Iterator[str]:
    """What was said and is not any more."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            if key in now:
                yield from differences(value, now[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is gone"
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif then != now:
        yield f"{where}: {then!r} became {now!r}"


def test_every_entry_of_the_golden_log_says_what_it_said() -> None:
    frames, _, end = parse(str(GOLDEN), GOLDEN.read_bytes())
    assert end == GOLDEN.stat().st_size
    kinds = set()
    for line, entry in zip(frames, decode_frames(str(GOLDEN), frames), strict=True):
        then = json.loads(line)
        kinds.add(then["is"])
        assert list(differences(then, json.loads(to_bytes(entry, DurableEntry)), then["is"])) == []
    assert kinds == {each.__name__ for each in get_args(DurableEntry)}, (
        "a new kind of entry belongs into the golden log"
    )


def test_a_log_of_a_newer_format_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    content = GOLDEN.read_bytes().replace(b"log 1\n", b"log 2\n", 1)
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"the log has format 2, this version reads 1; start the agentd that wrote it"
    ):
        CheckpointLog.open(str(path))
    assert path.read_bytes() == content
