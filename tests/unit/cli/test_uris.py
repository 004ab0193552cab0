"""--uri, as people write it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.cli.uris import command_uri
from paddock.model.errors import InvalidRequest
from paddock.model.uri import CommandUri


def test_every_option() -> None:
    digest = "AB" * 64
    assert command_uri(f"http://example.com/x.tar,extract=no,cache,output=y,sha512={digest}", "--uri") == CommandUri(
        value="http://example.com/x.tar",
        extract=False,
        cache=True,
        output_file="y",
        checksum=f"sha512:{digest.lower()}",
    )
    assert command_uri("/srv/tool,executable", "--uri") == CommandUri(value="/srv/tool", executable=True)
    assert command_uri("/srv/a%2Cb,extract=yes", "--uri").extract


@pytest.mark.parametrize(
    "text", ["", ",cache", "/x,", "/x,execute", "/x,output=", "/x,extract=maybe", "/x,output=../y"]
)
def test_what_is_wrong_names_the_flag(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--uri"):
        command_uri(text, "--uri")


@given(st.text(st.sampled_from("/xhtp:,=noutcae.é"), max_size=40))
@settings(deadline=None)
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        found = command_uri(text, "--uri")
    except InvalidRequest:
        return
    assert found.value == text.partition(",")[0]
