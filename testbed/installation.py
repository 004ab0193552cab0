"""Another build's package on a host of the testbed, as an operator brings it there: copied, and installed by pip."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from testbed.debian import ImageError
from testbed.distribution import PREFIX, wheelhouse
from testbed.three_hosts import Testbed

_TIMEOUT_S = 300.0


def install(testbed: Testbed, name: str, wheel: Path) -> None:
    """What runs there goes on with what it has loaded: docs/operations/upgrade.md says what follows. A build of the same
    version is installed too. Raises ImageError with pip's words.
    """
    leader = testbed.hosts[name].leader
    assert leader is not None
    pip = next(wheelhouse().glob("pip-*.whl"))
    root = Path(f"/proc/{leader.pid}/root")
    with tempfile.TemporaryDirectory(prefix="paddock-", dir=root / "root") as place:
        for needed in (wheel, pip):
            shutil.copy(needed, place)
        inside = f"/{Path(place).relative_to(root)}"
        options = ["--quiet", "--no-index", "--no-deps", "--force-reinstall", "--root-user-action=ignore"]
        into = ["--python", f"{PREFIX}/bin/python", "install", *options, f"{inside}/{wheel.name}"]
        done = testbed.exec(name, "python3", f"{inside}/{pip.name}/pip", *into, timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise ImageError(f"{wheel.name} cannot be installed on {name}: {(done.stdout + done.stderr).strip()}")
