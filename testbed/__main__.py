"""The testbed's verbs: `make testbed`, then `.venv/bin/python -m testbed exec master paddock agents`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.debian import ImageError
from testbed.distribution import build_wheel
from testbed.installation import install
from testbed.three_hosts import ADDRESSES, OUTSIDE, PLACES, Testbed
from testbed.wrong_use import WrongUse, check_root, check_verb

DIRECTORY_VARIABLE = "PADDOCK_TESTBED"
DEFAULT_DIRECTORY = "/var/tmp/paddock-testbed"  # noqa: S108 - root's own, made with mkdir
_RATES_KBIT = range(8, 10_000_001)
"""Up to what a link of this machine's can be told as 32 bits of bytes a second."""

_TRY = """\
three hosts are up: {hosts}
  {program} exec master paddock agents
  {program} exec master paddock run -- sh -c 'hostname; sleep 3'
  {program} crash agent1; {program} exec master paddock agents --watch; {program} heal
  {program} down"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--directory",
        type=_directory,
        default=os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY,
        help=f"where it lives (default: ${DIRECTORY_VARIABLE}, else {DEFAULT_DIRECTORY})",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    names = tuple(ADDRESSES)
    verbs.add_parser("up", help="boot a master and two agents with the package of this tree, and wait for them")
    verbs.add_parser("down", help="end everything of it; nothing is left")
    verbs.add_parser("heal", help="boot what crashed, let go on what froze, join what is apart, at full speed")
    for verb, words in (("crash", "its power is gone; its disk stays"), ("freeze", "it hangs: nothing of it runs")):
        verbs.add_parser(verb, help=words).add_argument("host", choices=names)
    installing = verbs.add_parser(
        "install", help="put the package of this tree there, as it is now; daemons have it from their restart on"
    )
    installing.add_argument("host", choices=names)
    execute = verbs.add_parser("exec", help="run a command there, as root; without one, a shell")
    execute.add_argument("host", choices=names)
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    partition = verbs.add_parser("partition", help="what the first sends to the second is lost, and the reverse")
    for place in ("host", "other"):
        partition.add_argument(
            place, choices=tuple(PLACES), help=f"one of the three, or {OUTSIDE}: where frameworks may be"
        )
    partition.add_argument("--one-way", action="store_true", help="the reverse arrives")
    slow = verbs.add_parser("slow", help="what it sends leaves at this rate at most")
    slow.add_argument("host", choices=names)
    slow.add_argument("kbit", type=_rate_kbit, help=f"kbit/s, from {_RATES_KBIT.start} to {_RATES_KBIT.stop - 1}")
    return parser


def _directory(text: str) -> Path:
    """Where its hosts work, relative paths mean nothing; and an overlay's options know no other way to say these."""
    if found := {":", ",", "\\"}.intersection(text):
        raise argparse.ArgumentTypeError(f"{text!r} has a {found.pop()!r}, by which mounts tell directories apart")
    return Path(text).absolute()


def _rate_kbit(text: str) -> int:
    wanted = f"write a whole number from {_RATES_KBIT.start} to {_RATES_KBIT.stop - 1}"
    try:
        rate = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate in kbit/s: {wanted}") from None
    if rate not in _RATES_KBIT:
        raise argparse.ArgumentTypeError(f"{rate} kbit/s cannot be: {wanted}")
    return rate


def main(arguments: Sequence[str] | None = None) -> int:
    """One verb. 0; 1 with a sentence, 2 when the words are wrong, 130 after Ctrl-C; of exec the command's own code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    places = tuple(vars(options)[each] for each in ("host", "other") if each in options)
    if len(places) != len(set(places)):
        others = ", ".join(place for place in PLACES if place not in places)
        parser.error(f"argument other: {options.other} cannot be parted from itself: name one of {others}")
    try:
        check_root(os.geteuid())
        return _run(options, places)
    except (WrongUse, ImageError, OSError, TimeoutError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, places: tuple[str, ...]) -> int:
    if options.verb == "up":
        return _up(options.directory)
    testbed = Testbed.load(options.directory)
    check_verb(testbed, options.verb, places)
    if options.verb == "exec":
        words = options.words[1:] if options.words[:1] == ["--"] else options.words
        command = testbed.hosts[options.host].command(words or ["bash"])
        sys.stdout.flush()
        os.execvp(command[0], command)
    _do(testbed, options)
    return 0


def _up(directory: Path) -> int:
    testbed = Testbed.up(directory)
    try:
        testbed.await_ready()
    except BaseException:
        testbed.down()
        raise
    program = ".venv/bin/python -m testbed"
    hosts = ", ".join(f"{name} ({address})" for name, address in ADDRESSES.items())
    print(_TRY.format(hosts=hosts, program=program))
    return 0


def _do(testbed: Testbed, options: argparse.Namespace) -> None:
    match options.verb:
        case "down":
            testbed.down()
        case "heal":
            testbed.heal()
        case "crash":
            testbed.crash(options.host)
        case "freeze":
            testbed.freeze(options.host)
        case "partition":
            testbed.partition(options.host, options.other, one_way=options.one_way)
        case "install":
            with tempfile.TemporaryDirectory(prefix="paddock-wheel-") as place:
                install(testbed, options.host, build_wheel(Path(place)))
        case "slow":
            testbed.slow(options.host, options.kbit)
        case _:
            raise AssertionError(f"argparse let {options.verb} pass")


if __name__ == "__main__":
    sys.exit(main())
