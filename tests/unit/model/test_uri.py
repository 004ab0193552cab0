"""What a URI may be, and what its name says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.uri import ArchiveKind, CommandUri, check_uri, is_reserved


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        (CommandUri(value=""), "value"),
        (CommandUri(value="x"), "value"),
        (CommandUri(value="ftp://example.com/x"), "value"),
        (CommandUri(value="http:" + "///x"), "value"),
        (CommandUri(value="http:" + "// /x"), "value"),
        (CommandUri(value="http:" + "//a%2fb/x"), "value"),
        (CommandUri(value="http://example.com:port/x"), "value"),
        (CommandUri(value="http:" + "//[::1/x"), "value"),
        (CommandUri(value="http://user:secret@example.com/x"), "value"),
        (CommandUri(value="file://host/x"), "value"),
        (CommandUri(value="/x\0"), "value"),
        (CommandUri(value="/x\n"), "value"),
        (CommandUri(value="/" + "x" * 5000), "value"),
        (CommandUri(value="http://example.com/"), "output_file"),
        (CommandUri(value="http://example.com/a/%2e%2e"), "output_file"),
        (CommandUri(value="http://example.com/%ff"), "output_file"),
        (CommandUri(value="/x", output_file="../x"), "output_file"),
        (CommandUri(value="/x", output_file="/x"), "output_file"),
        (CommandUri(value="/x", output_file="a//b"), "output_file"),
        (CommandUri(value="/x", output_file="stdout"), "output_file"),
        (CommandUri(value="/srv/stderr.1"), "output_file"),
        (CommandUri(value="/x", checksum="md5:00"), "checksum"),
        (CommandUri(value="/x", checksum="sha256:" + "0" * 63), "checksum"),
        (CommandUri(value="/x", checksum="sha256:" + "A" * 64), "checksum"),
    ],
)
def test_what_is_wrong_is_named(uri: CommandUri, part: str) -> None:
    with pytest.raises(InvalidRequest, match=f"u.{part}") as refused:
        check_uri(uri, "u")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "name", "archive"),
    [
        ("http://example.com/a/b.tar.gz?x=1", "b.tar.gz", ArchiveKind.TAR_GZIP),
        ("https://example.com:1/a%20b.TGZ", "a b.TGZ", ArchiveKind.TAR_GZIP),
        ("file:///srv/x.tbz2", "x.tbz2", ArchiveKind.TAR_BZIP2),
        ("/srv/50%25.zip", "50%25.zip", ArchiveKind.ZIP),
        ("http://[::1]:80/é.tar.xz", "é.tar.xz", ArchiveKind.TAR_XZ),
        ("file://localhost/srv/tool", "tool", None),
        ("http://example.com/x.gz", "x.gz", None),
    ],
)
def test_a_name_says_where_it_goes_and_what_it_is(value: str, name: str, archive: ArchiveKind | None) -> None:
    uri = check_uri(CommandUri(value=value), "u")
    assert (uri.file_name, uri.archive) == (name, archive)


def test_a_program_and_what_is_wanted_as_it_is_are_not_unpacked() -> None:
    assert CommandUri(value="/x.tar", executable=True).archive is None
    assert CommandUri(value="/x.tar", extract=False).archive is None
    assert CommandUri(value="/x", output_file="y.tar").archive is ArchiveKind.TAR


@given(st.text(max_size=30), st.text(max_size=20), st.text(max_size=20))
@settings(deadline=None)
def test_anything_is_accepted_or_refused_by_name(value: str, output_file: str, checksum: str) -> None:
    uri = CommandUri(value=value, output_file=output_file, checksum=checksum)
    try:
        check_uri(uri, "u")
    except InvalidRequest:
        return  # anything else is a defect
    parts = uri.file_name.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not is_reserved(parts[0])
    assert "\0" not in uri.file_name


@given(st.sampled_from(["http://", "https://", "file://", "/"]), st.text(max_size=30))
@settings(deadline=None)
def test_what_begins_well_goes_on_well_or_is_refused(scheme: str, rest: str) -> None:
    try:
        uri = check_uri(CommandUri(value=scheme + rest), "u")
    except InvalidRequest:
        return
    assert "/" not in uri.file_name
