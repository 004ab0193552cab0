"""docs/reference/ is what the code says, all of it."""

import re

import pytest

from paddock.cli import exit_codes
from paddock.cli.__main__ import listed_verbs
from setup.reference import DIRECTORY, pages
from tests.architecture.source import ROOT

PAGES = pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_current(name: str) -> None:
    words = (DIRECTORY / name).read_text(encoding="utf-8")
    assert words == PAGES[name], "run: .venv/bin/python -m setup.reference"


def test_no_other_page_is_there() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == set(PAGES)


def test_every_call_of_every_service_is_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "proto/paddock/wire/v1").glob("*.proto")]
    declared = {call for source in sources for call in re.findall(r"^\s*rpc (\w+)\(", source, re.MULTILINE)}
    told = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGES["services.md"], re.MULTILINE)
    assert {call for call, _ in told} == declared
    assert len(told) == sum(len(re.findall(r"^\s*rpc ", source, re.MULTILINE)) for source in sources)
    silent = [call for call, words in told if not re.search(r"\w.*[.]$", words)]
    assert not silent, f"{silent}: say in a comment above the rpc, in sentences, what it does"


def test_every_verb_code_and_setting_is_told() -> None:
    assert re.findall(r"^## paddock (\S+)$", PAGES["commands.md"], re.MULTILINE) == [verb for verb, _ in listed_verbs()]
    codes = {str(value) for name, value in vars(exit_codes).items() if name.isupper()}
    assert set(re.findall(r"^\| (\d+) ", PAGES["exit-codes.md"], re.MULTILINE)) == codes
    assert len(re.findall(r"^\| `\w+` ", PAGES["configuration.md"], re.MULTILINE)) > 60
