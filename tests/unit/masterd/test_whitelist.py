"""The whitelist's file: what is in it, and what is refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masterd.whitelist import SIZE_LIMIT_BYTES, _hostnames, read_whitelist
from paddock.model.errors import ConfigError
from tests.unit.masterd.test_config import load


def test_no_file_is_all_and_an_empty_one_is_nobody(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("")
    assert read_whitelist(None).hostnames is None
    assert read_whitelist(str(file)).hostnames == ()


def test_one_name_a_line(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# rack 1\n b.example \n\na.example # new\r\nb.example\n")
    settings = load(tmp_path, f"--whitelist=file://{file}")
    assert settings.whitelist == str(file)
    assert read_whitelist(settings.whitelist).hostnames == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb c\n", "line 2: 'b c': write one host name a line"),
        (b"\xff\n", "line 1: .*: write one host name a line"),
        (b"x" * 256, "line 1: 'xxx.*: write one host name a line"),
        (b"\n" * (SIZE_LIMIT_BYTES + 1), "is larger than 16777216 bytes"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"whitelist: {file}:? {words}"):
        read_whitelist(str(file))


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent: No such file or directory; name a file that masterd can read"):
        read_whitelist(str(tmp_path / "absent"))
    # One that nobody writes to would keep masterd waiting for ever.
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(ConfigError, match="is no file"):
            read_whitelist(str(tmp_path / name))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_a_configuration_error(content: bytes) -> None:
    try:
        found = _hostnames("p", content)
    except ConfigError as error:
        words = str(error)
    else:
        assert all(name == name.strip() and name.isprintable() and "#" not in name for name in found)
        return
    assert "whitelist: p: line " in words
