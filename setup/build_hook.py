"""What the distribution holds beside Python: units, manual pages, completion files, each where its reader looks below a prefix.

Manual pages and completion are made from the parsers at the build, which needs what the parsers import: the environment of
`make wheel` has it. A source distribution carries them, so a wheel from it needs nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GENERATED = "manual"
"""Their directory in a source distribution."""

UNITS = {
    "agentd.service": "lib/systemd/system",
    "masterd.service": "lib/systemd/system",
    "sysusers.d/paddock.conf": "lib/sysusers.d",
    "tmpfiles.d/paddock.conf": "lib/tmpfiles.d",
}


class BuildHook(BuildHookInterface[Any]):
    """Found by its place, which pyproject.toml names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is the kind of build: an editable one is for the repository's own environment."""
        if version == "editable":
            return
        root = Path(self.root)
        share = root / GENERATED
        if not share.is_dir():
            share = self._generated(root)
        pages = [path for path in share.rglob("*") if path.is_file()]
        if self.target_name == "sdist":
            build_data["force_include"].update({str(path): f"{GENERATED}/{path.relative_to(share)}" for path in pages})
            return
        shared = build_data["shared_data"]
        shared.update({str(path): f"share/{path.relative_to(share)}" for path in pages})
        for name, place in UNITS.items():
            shared[str(root / "systemd" / name)] = f"{place}/{Path(name).name}"

    def _generated(self, root: Path) -> Path:
        self._kept = tempfile.TemporaryDirectory(prefix="manual-")
        command = [sys.executable, "-m", "setup.manual", self._kept.name]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.app.display_warning(f"built without manual pages; `make wheel` has them: {done.stderr[-500:]}")
        return Path(self._kept.name)
