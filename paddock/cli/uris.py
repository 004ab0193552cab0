"""`--uri URI[,executable][,extract=no][,cache][,output=NAME][,sha256=HEX]`: what a command wants fetched."""

from __future__ import annotations

from dataclasses import replace

from paddock.model.errors import InvalidRequest
from paddock.model.uri import CommandUri, check_uri

_REMEDY = (
    "after the URI come executable, extract=no, cache, output=NAME, sha256=HEX or sha512=HEX; write a comma as %2C"
)


def command_uri(text: str, flag: str) -> CommandUri:
    """Checked by the same rule as the agent's."""
    value, *options = text.split(",")
    uri = CommandUri(value=value)
    for option in options:
        name, _, given = option.partition("=")
        if option in {"executable", "cache"}:
            uri = replace(
                uri, executable=uri.executable or option == "executable", cache=uri.cache or option == "cache"
            )
        elif option in {"extract=no", "extract=yes"}:
            uri = replace(uri, extract=given == "yes")
        elif name == "output" and given:
            uri = replace(uri, output_file=given)
        elif name in {"sha256", "sha512"} and given:
            uri = replace(uri, checksum=f"{name}:{given.lower()}")
        else:
            raise InvalidRequest(flag, option, _REMEDY)
    return check_uri(uri, flag)
