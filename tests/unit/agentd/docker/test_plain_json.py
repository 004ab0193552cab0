"""JSON as the package reads and writes it, without the package."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker import plain_json

BASE_PYTHON = str(Path(sys.executable).resolve())
ROOT = str(Path(__file__).resolve().parents[4])

WRITTEN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(WRITTEN)
def test_what_is_written_is_what_the_package_writes_and_is_read_again(value: object) -> None:
    text = plain_json.text_of(value)
    assert text == json.dumps(value)
    assert plain_json.parse(f" {text}\r\n".encode()) == value


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.eE-+ \\untrfalsNI\n\ta', max_size=60).map(str.encode))
def test_any_bytes_are_read_as_the_package_reads_them(content: bytes) -> None:
    assert read_by(plain_json.parse, content) == read_by(json.loads, content)


def read_by(parse: Callable[[bytes], object], content: bytes) -> str:
    """NaN is not equal to itself."""
    try:
        return repr(parse(content))
    except ValueError as error:
        return f"refused: {error}"


def test_an_answer_without_an_end_is_an_error_as_the_package_has_it() -> None:
    with pytest.raises(RecursionError):
        plain_json.parse(b"[" * 100_000)
    with pytest.raises(TypeError, match="float"):
        plain_json.text_of({"a": 1.5})


def test_the_package_is_not_there_for_it() -> None:
    code = (
        f"import sys; sys.path[:0] = [{ROOT!r}]; from agentd.docker import plain_json as j;"
        """assert j.parse(b'{"a": [1, 2.5, null, true, "x\\\\u00e4"]}') == {"a": [1, 2.5, None, True, "x\\xe4"]};"""
        "j.text_of({'a': ['b', 1]}); print(*sorted({'json', 're', 'enum'} & set(sys.modules)));"
        "\ntry: j.parse(b'{')\nexcept ValueError as error: print(error)"
    )
    found = subprocess.run([BASE_PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        "",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]
