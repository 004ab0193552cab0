"""What the kernel's notifications say, and what is said to systemd."""

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel import notify


def test_inotify_events() -> None:
    content = (
        struct.pack("iIII", 3, notify.IN_MODIFY, 0, 16) + b"name".ljust(16, b"\0") + struct.pack("iIII", 4, 1, 0, 0)
    )
    events = notify.parse_inotify(content + b"cut")
    assert [(event.watch, event.mask, event.name) for event in events] == [(3, notify.IN_MODIFY, "name"), (4, 1, "")]


@given(st.binary())
def test_any_bytes_are_events(content: bytes) -> None:
    notify.parse_inotify(content)


def test_sd_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.sd_notify("READY=1")
    for address in (str(tmp_path / "notify"), f"@paddock-test-{tmp_path.name}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("\0" + address[1:] if address.startswith("@") else address)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            assert notify.sd_notify("READY=1\nSTATUS=up")
            assert systemd.recv(100) == b"READY=1\nSTATUS=up"
    with pytest.raises(OSError, match="sendto"):
        notify.sd_notify("READY=1", str(tmp_path / "nobody"))
