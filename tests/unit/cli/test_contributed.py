"""Verbs of other packages: listed, run, and refused by name when nobody can say what they mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from paddock.cli.__main__ import main
from paddock.cli.contributed import GROUP, Offer, offers

AUDIT = """
SUMMARY = "look at everything twice"
def add_arguments(parser):
    parser.add_argument("--deep", action="store_true")
async def run(arguments):
    print("audited", arguments.deep)
    return 7
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path, as pip leaves one."""
    (tmp_path / "acme_audit.py").write_text(AUDIT, encoding="utf-8")
    (tmp_path / "acme_broken.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "acme_empty.py").write_text("SUMMARY = 'nothing'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("acme_audit", "acme_broken", "acme_empty"):
        sys.modules.pop(name, None)


def install(site: Path, distribution: str, *points: str) -> None:
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
    lines = ["[console_scripts]", "x = y:z", "", f"[{GROUP}]", "# ours", *points, "", "[other]", "p = q", ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def test_what_is_found_is_what_pythons_own_reader_finds(site: Path) -> None:
    install(site, "acme_tools", "audit = acme_audit", "other=acme_empty")
    expected = sorted((point.name, point.value) for point in entry_points(group=GROUP))
    assert [(offer.verb, offer.module) for offer in offers()] == expected
    assert ("simulate", "masterd.verbs.simulate") in expected
    assert Offer("audit", "acme_audit", "acme-tools") in offers()


def test_a_path_that_is_not_there_and_a_second_copy_offer_nothing(site: Path, tmp_path: Path) -> None:
    install(site, "acme", "audit = acme_audit")
    copy = tmp_path / "copy"
    copy.mkdir()
    install(copy, "Acme", "audit = elsewhere")
    assert offers([str(tmp_path / "gone"), str(site), str(copy)]) == [Offer("audit", "acme_audit", "acme")]


def test_it_is_listed_explained_and_run(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "acme", "audit = acme_audit")
    assert main(["--help"]) == 0
    assert any(line.split() == ["audit", *["look", "at", "everything", "twice"]] for line in lines(capsys))
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    assert "Look at everything twice." in capsys.readouterr().out
    assert main(["audit", "--deep"]) == 7
    assert capsys.readouterr().out == "audited True\n"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (("audit = acme_broken",), "acme_broken of acme cannot be loaded: division by zero"),
        (("audit = acme_nowhere",), "acme_nowhere of acme cannot be loaded: No module named 'acme_nowhere'"),
        (("audit = acme_empty",), "acme_empty of acme is no verb: it has no add_arguments, run"),
        (("audit = acme_audit", "audit = acme_empty"), "offered 2 times (by acme_audit of acme, acme_empty of acme)"),
    ],
)
def test_what_cannot_be_used_is_said_and_stops_nobody_else(
    site: Path, capsys: pytest.CaptureFixture[str], points: tuple[str, ...], words: str
) -> None:
    install(site, "acme", *points)
    assert main(["audit"]) == 2
    assert words in capsys.readouterr().err
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert words in out
    assert "  simulate " in out


def test_a_name_of_ours_stays_ours_and_the_other_is_told(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "acme", "ps = acme_audit")
    assert main(["--help"]) == 0
    assert "offered 2 times (by paddock itself, acme_audit of acme)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["ps", "--help"])
    assert "List tasks." in capsys.readouterr().out
