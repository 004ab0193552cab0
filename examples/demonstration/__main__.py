"""`make run`: starts a one-host cluster, shows eight rows, prints the table, leaves nothing behind."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence

from examples.demonstration import (
    rows_cpu,
    rows_disk,
    rows_memory,
    rows_output,
    rows_pids,
    rows_processes,
    rows_stop,
)
from examples.demonstration.row import Row, carry_out
from examples.demonstration.session import open_session
from examples.demonstration.table import Line, render, verdict
from paddock.model.errors import PaddockError
from testbed.one_host import OneHost

ROWS: tuple[Row, ...] = (
    *rows_output.ROWS,
    *rows_cpu.ROWS,
    *rows_memory.ROWS,
    *rows_disk.ROWS,
    *rows_pids.ROWS,
    *rows_processes.ROWS,
    *rows_stop.ROWS,
)


def parser() -> argparse.ArgumentParser:
    """What `make run` passes on."""
    made = argparse.ArgumentParser(prog="python -m examples.demonstration", description=__doc__, allow_abbrev=False)
    made.add_argument("--keep", action="store_true", help="leave the cluster up, and say what to try")
    made.add_argument(
        "--only",
        metavar="N",
        type=int,
        action="append",
        choices=[row.number for row in ROWS],
        help="only this row (repeatable)",
    )
    return made


async def show(master_address: str, rows: Sequence[Row]) -> list[Line]:
    """Carry the rows out one after the other, telling what happens."""
    lines = []
    async with open_session(master_address) as session:
        for row in rows:
            print(f"{row.number}. {row.title}: {row.asked}", flush=True)
            seen = await carry_out(row, session)
            print(f"   {seen.text}\n   {verdict(seen)}\n", flush=True)
            lines.append(Line(row=row, seen=seen))
    return lines


def keep_words(host: OneHost) -> str:
    """The commands to try next, and how to stop it."""
    paddock = os.path.relpath(os.path.join(os.path.dirname(sys.executable), "paddock"))
    python = os.path.relpath(sys.executable)
    return f"""The cluster is up. Try:

  export PADDOCK_MASTER={host.master_address}
  {paddock} agents
  {paddock} run --cpus 0.1 --mem 64MiB -- /bin/sh -c 'echo hello from $PADDOCK_TASK_ID'
  {paddock} run --name sleeper --mem 32MiB -- /bin/sleep 600 &
  {paddock} ps
  {paddock} explain $({paddock} ps -o name)
  {paddock} kill $({paddock} ps -o name)

Stop it with:

  {python} -m testbed.one_host stop {host.directory}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 only when every row is as expected."""
    options = parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("make run needs root: it makes cgroups and namespaces. Run it as root, or with sudo.", file=sys.stderr)
        return 1
    rows = [row for row in ROWS if not options.only or row.number in options.only]
    # A demonstration that is terminated, or whose terminal goes, stops its cluster on the way out, as an interrupted one does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    host = OneHost.make()
    try:
        print(f"Starting launcher, masterd and agentd in {host.directory} …", flush=True)
        host.start()
        print(f"masterd: {host.master_address}\nagentd:  {host.agent_address}\n", flush=True)
        lines = host.run(show(host.master_address, rows))
        print(render(lines, shutil.get_terminal_size((140, 40)).columns), flush=True)
        if options.keep:
            print(keep_words(host), flush=True)
    except (PaddockError, OSError) as error:
        # First: nobody may be left to read the words (`make run | head`).
        host.stop()
        print(f"The demonstration could not be carried out: {error}", file=sys.stderr)
        return 1
    except BaseException:
        host.stop()
        raise
    if not options.keep:
        host.stop()
        print("Everything is stopped; nothing is left behind.")
    good = sum(line.seen.as_expected for line in lines)
    print(f"{good} of {len(lines)} rows are as expected.")
    return 0 if good == len(lines) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
