"""How every process that is forked here and never exec'd begins and ends."""

from __future__ import annotations

import os
import signal

from paddock.kernel import processes
from paddock.kernel.descriptors import close_all_except
from paddock.launch.launcher_log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SIGNALS = (int(signal.SIGCHLD), int(signal.SIGTERM), int(signal.SIGINT))


def end_child(life: Callable[[], int], kept_fds: tuple[int, ...]) -> NoReturn:
    """Live the forked child's life and end it without the launcher's clean-up."""
    try:
        signal.set_wakeup_fd(-1)
        processes.set_default_signals(_SIGNALS)
        close_all_except(kept_fds)
    except BaseException as error:  # noqa: BLE001 - it must end here, and be seen
        log("child-failed", error=f"{type(error).__name__}: {error}")
        os._exit(1)
    live_and_end(life)


def live_and_end(life: Callable[[], int]) -> NoReturn:
    """End with the life's result, never by going back up the stack that was forked."""
    code = 1
    try:
        code = life()
    except BaseException as error:  # noqa: BLE001 - it must end here, and be seen
        log("child-failed", error=f"{type(error).__name__}: {error}")
        if os.environ.get("PADDOCK_LAUNCHER_TRACEBACK"):
            import sys  # noqa: PLC0415 - for developers only

            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)
