"""The worked example of docs/allocation.md, row by row, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from masterd.allocator.quota import checked_quota
from paddock.model.resource_text import parse_resources
from tests.unit.masterd.allocator.test_allocator import Desk

PAGE = Path(__file__).resolve().parents[4] / "docs" / "allocation.md"


def rows() -> list[tuple[str, list[str]]]:
    text = PAGE.read_text(encoding="utf-8").partition("test_page.py -->")[2]
    found = re.findall(r"^\| (.+?) \| ?(.*?) ?\|$", text.partition("\n\n|")[2].partition("\n\n")[0], flags=re.MULTILINE)
    return [
        (what, [offer for offer in offers.split(" · ") if offer]) for what, offers in found if what != "what happens"
    ]


def do(desk: Desk, words: str) -> None:
    match words.split():
        case ["quota", role, *_]:
            parts = dict(re.findall(r"(guarantees|limits) (\S+?),?(?= |$)", words))
            guarantees, limits = (parse_resources(parts.get(name, "")) for name in ("guarantees", "limits"))
            path = role.rstrip(":")
            desk.allocator.set_quota(path, checked_quota(path, guarantees, limits, nested=True))
        case ["framework", name, "in", role]:
            desk.framework(name, role)
        case ["agent", name, "with", whole]:
            desk.agent(name, whole)
        case ["run"]:
            pass
        case _:
            raise AssertionError(f"what is {words!r}?")


def test_the_worked_example_is_what_happens() -> None:
    desk = Desk()
    table = rows()
    assert len(table) >= 9
    for what, offers in table:
        do(desk, what)
        if offers:
            seen = sorted(word.replace("/", " ", 1).replace("@", " ", 1) for word in desk.words())
            assert seen == sorted(offers), what
