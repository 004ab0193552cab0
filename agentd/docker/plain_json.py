"""JSON without the json package, which takes a stand-in 8 ms and a megabyte to import (it brings in `re` and `enum`): by the
package's own C functions, to which what comes from an engine is plain. What they do not take, the package judges.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class _Plain:
    """What json.JSONDecoder() would tell them."""

    strict: Final = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan = _json.make_scanner(_Plain)  # type: ignore[arg-type]  # typeshed wants the package's own decoder
_string = _json.encode_basestring_ascii


def parse(content: bytes) -> object:
    """As json.loads: raises ValueError, RecursionError."""
    try:
        text = content.decode().strip(" \t\r\n")
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (StopIteration, SystemError, ValueError, RecursionError):
        # SystemError: its own error is the package's, which is not there.
        pass
    import json  # noqa: PLC0415 - see above

    return json.loads(content)


def text_of(value: object) -> str:
    """As json.dumps, of strings, integers, truth, None, lists and what has names."""
    match value:
        case str():
            return _string(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case list():
            return f"[{', '.join(text_of(each) for each in value)}]"
        case dict():
            return f"{{{', '.join(f'{_string(name)}: {text_of(each)}' for name, each in value.items())}}}"
        case _:
            raise TypeError(f"{type(value).__name__} is not written to notes")
