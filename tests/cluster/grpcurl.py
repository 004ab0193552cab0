"""grpcurl's words for `buf curl`: `list`, `describe NAME`, `SERVICE/METHOD`. It is buf that speaks to the daemon.

grpcurl itself comes from no package registry; buf, as foreign to us and knowing only what the server tells by reflection, does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

BUF = os.path.join(os.path.dirname(sys.executable), "buf")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="grpcurl", allow_abbrev=False)
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-unix", action="store_true")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="document", default="{}")
    parser.add_argument("address")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args(arguments)
    command = [BUF, "curl", "--protocol=grpc", *(f"--header={header}" for header in options.headers)]
    url = f"http://{options.address}"
    if options.unix:
        command, url = [*command, f"--unix-socket={options.address}"], "http://localhost"
    match options.words:
        case ["list"]:
            command += ["--list-services", url]
        case ["describe", _]:
            command += ["--list-methods", url]
        case [path]:
            command += [f"--data={options.document}", f"{url}/{path}"]
        case _:
            parser.error("list, describe NAME or SERVICE/METHOD")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if options.words[0] == "describe":
        methods = [line.rpartition("/") for line in done.stdout.splitlines()]
        print("\n".join(f"rpc {method}" for service, _, method in methods if service == options.words[1]))
    else:
        print(done.stdout, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
