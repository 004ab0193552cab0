"""What the kernel's notifications say."""

import struct

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
