"""Asks a daemon's health again and again and reports the slowest answer, from a process that does nothing else.

The health service answers on the daemon's event loop: an answer that takes longer than the others waited for the loop.
"""

from __future__ import annotations

import json
import select
import sys
import time

import grpc
from grpc_health.v1 import health_pb2

PERIOD_S = 0.002
CODECS = (health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString)


def main() -> None:
    """Probe until standard input says anything or ends, then print one JSON object and leave."""
    taken_s: list[float] = []
    with grpc.insecure_channel(sys.argv[1]) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", *CODECS)
        check(health_pb2.HealthCheckRequest(), timeout=10)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], PERIOD_S)[0]:
            begin_s = time.perf_counter()
            check(health_pb2.HealthCheckRequest(), timeout=60)
            taken_s.append(time.perf_counter() - begin_s)
    taken_s.sort()
    worst_s, middle_s = taken_s[-1], taken_s[len(taken_s) // 2]
    print(json.dumps({"largest_s": worst_s, "median_s": middle_s, "count": len(taken_s)}), flush=True)


if __name__ == "__main__":
    main()
