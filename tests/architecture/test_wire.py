"""The committed paddock/wire/v1 is what proto/ says today."""

from pathlib import Path

from setup import generate_wire


def generated(root: Path) -> dict[str, str]:
    package = root / generate_wire.PACKAGE
    files = [path for path in package.iterdir() if path.suffix in {".py", ".pyi"}]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    generate_wire.generate(tmp_path)
    fresh, committed = generated(tmp_path), generated(generate_wire.ROOT)
    assert sorted(fresh) == sorted(committed), "run `make proto`"
    assert not [name for name in fresh if fresh[name] != committed[name]], "run `make proto`"


def test_every_proto_file_is_in_the_package_and_holds_at_most_one_service() -> None:
    paths = sorted(generate_wire.PROTO.rglob("*"))
    files = [path for path in paths if path.is_file()]
    assert files
    for path in files:
        assert path.parent == generate_wire.PROTO / generate_wire.PACKAGE, f"{path} is not in {generate_wire.PACKAGE}"
        assert path.suffix == ".proto", f"{path}: only .proto files live in proto/"
        text = path.read_text(encoding="utf-8")
        assert "package paddock.wire.v1;" in text
        services = [line for line in text.splitlines() if line.startswith("service ")]
        assert len(services) <= 1, f"{path}: one service per file"


def test_stale_modules_go(tmp_path: Path) -> None:
    stale = tmp_path / generate_wire.PACKAGE / "gone_pb2.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    generate_wire.remove_stale(tmp_path)
    assert not stale.exists()


def test_every_enum_begins_with_unspecified() -> None:
    for path in (generate_wire.PROTO / generate_wire.PACKAGE).glob("*.proto"):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for index, line in enumerate(lines):
            if line.startswith("enum "):
                body = next(later for later in lines[index + 1 :] if later and not later.startswith("//"))
                assert body.endswith("_UNSPECIFIED = 0;"), f"{path.name}: {line} begins with {body}"
