"""What is asked of a server, and what comes of files: every URI that is accepted can be asked for, or the reason is told."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.fetcher.download import Bounds, ascii_url, download
from agentd.fetcher.failure import FetchFailure
from paddock.model.errors import InvalidRequest
from paddock.model.uri import CommandUri, check_uri

BOUNDS = Bounds(stall_s=1.0, least_bytes_per_s=0, limit_bytes=1000)


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("http://example.com/a b/é?q=ü&x=%20#part", "http://example.com/a%20b/%C3%A9?q=%C3%BC&x=%20"),
        ("https://example.com:8443", "https://example.com:8443/"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://EXAMPLE.com/%7Ex", "http://example.com/%7Ex"),
    ],
)
def test_names_in_every_alphabet_are_asked_for_in_ascii(uri: str, asked: str) -> None:
    assert ascii_url(urlsplit(uri)) == asked


@given(st.sampled_from(["http", "https"]), st.text(max_size=12), st.text(max_size=20))
@settings(deadline=None)
def test_what_is_accepted_can_be_asked_for(scheme: str, host: str, rest: str) -> None:
    uri = f"{scheme}://{host}/{rest}"
    try:
        check_uri(CommandUri(value=uri), "u")
        asked = ascii_url(urlsplit(uri))
    except (InvalidRequest, FetchFailure):
        return
    assert asked.isascii()
    assert not set(asked) & set(" \r\n\t")
    assert unquote(urlsplit(asked).path) == unquote(urlsplit(uri).path or "/")


def test_a_file_comes_as_it_is_by_either_name(tmp_path: Path) -> None:
    source = tmp_path / "a b%20"
    source.write_bytes(b"content")
    for uri in (str(source), f"file://{tmp_path}/a%20b%2520"):
        with tempfile.TemporaryFile() as target:
            assert download(uri, target.fileno(), BOUNDS, {}) == 7
            assert os.pread(target.fileno(), 100, 0) == b"content"


def test_what_is_too_large_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1001))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name, words in (("large", "larger than"), ("fifo", "regular"), ("link", "regular"), ("", "regular|directory")):
        with tempfile.TemporaryFile() as target, pytest.raises(FetchFailure, match=words):
            download(f"{tmp_path}/{name}", target.fileno(), BOUNDS, {})
