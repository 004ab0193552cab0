"""Generates paddock/wire/v1 from proto/: for `make proto`, and for the test that proves the files current."""

import argparse
import importlib.resources
import re
import sys
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
PACKAGE = Path("paddock/wire/v1")

INIT = '"""Messages and stubs of paddock.wire.v1, generated from proto/ by `make proto`: never edited."""\n'


def generate(into: Path) -> None:
    """Write the modules and stubs below `into`/paddock/wire/v1.

    Raises RuntimeError when protoc refuses the sources (its words go to stderr).
    """
    sources = sorted(str(path.relative_to(PROTO)) for path in (PROTO / PACKAGE).glob("*.proto"))
    if not sources:
        raise RuntimeError(f"no .proto file in {PROTO / PACKAGE}")
    (into / PACKAGE).mkdir(parents=True, exist_ok=True)
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    # google/rpc/*.proto come with googleapis-common-protos, next to their generated modules.
    google_rpc = Path(status_pb2.__file__).parents[2]
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={well_known}",
        f"--proto_path={google_rpc}",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--mypy_grpc_out=quiet:{into}",
        f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).parent / 'protoc-gen-mypy_grpc'}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc refused the sources in {PROTO / PACKAGE}: see its message above")
    _drop_empty_services(into / PACKAGE)
    (into / PACKAGE / "__init__.py").write_text(INIT, encoding="utf-8")


def remove_stale(into: Path) -> None:
    """Remove what earlier sources left in `into`/paddock/wire/v1, so that a deleted .proto leaves no module."""
    for path in (into / PACKAGE).glob("*"):
        if re.search(r"_pb2(_grpc)?\.pyi?$", path.name):
            path.unlink()


def _drop_empty_services(package: Path) -> None:
    """Remove the _grpc modules of files that define no service: they hold nothing but an import check."""
    for module in package.glob("*_pb2_grpc.py"):
        if "Stub" not in module.read_text(encoding="utf-8"):
            module.unlink()
            module.with_suffix(".pyi").unlink(missing_ok=True)


def main() -> None:
    """Write the tree's own generated files, or those of --into."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT, help="root below which paddock/wire/v1 is written")
    into = parser.parse_args().into
    remove_stale(into)
    generate(into)


if __name__ == "__main__":
    main()
