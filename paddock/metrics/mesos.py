"""What Mesos' /metrics/snapshot says of a timer and of its host, for both daemons. Its clients read one flat JSON object."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from paddock.http.answers import JSON, HttpAnswer
from paddock.metrics.histogram import Histogram

Snapshot = dict[str, float]

_PARTS = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999))
_MS_PER_S = 1000


def timer(name: str, histogram: Histogram) -> Snapshot:
    """In milliseconds. Ours are of all the time since the start and have a bucket's resolution; Mesos' of the last hour."""
    count = histogram.count
    if not count:
        return {}
    mean_ms = histogram.total / count * _MS_PER_S
    found: Snapshot = {name: mean_ms, f"{name}/count": count}
    found.update({f"{name}/{word}": histogram.quantile(part) * _MS_PER_S for word, part in _PARTS})
    return found


def amounts(prefix: str, total_milli: Mapping[str, int], used_milli: Mapping[str, int]) -> Snapshot:
    """`<prefix>/<resource>_{total,used,percent}`; percent is a fraction, as in Mesos."""
    found: Snapshot = {}
    for resource in ("cpus", "gpus", "mem", "disk"):
        total, used = total_milli.get(resource, 0), used_milli.get(resource, 0)
        found[f"{prefix}/{resource}_total"] = total / 1000
        found[f"{prefix}/{resource}_used"] = used / 1000
        found[f"{prefix}/{resource}_percent"] = used / total if total else 0.0
    return found


def host() -> Snapshot:
    """Of the machine; the same keys at master and agent."""
    one, five, fifteen = os.getloadavg()
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    return {
        "system/cpus_total": os.cpu_count() or 0,
        "system/load_1min": one,
        "system/load_5min": five,
        "system/load_15min": fifteen,
        "system/mem_total_bytes": os.sysconf("SC_PHYS_PAGES") * page_bytes,
        "system/mem_free_bytes": os.sysconf("SC_AVPHYS_PAGES") * page_bytes,
    }


def answer(snapshot: Snapshot) -> HttpAnswer:
    """Sorted, as Mesos'."""
    return HttpAnswer(body=json.dumps(snapshot, sort_keys=True).encode(), content_type=JSON)
