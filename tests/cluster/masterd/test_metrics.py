"""A real masterd over HTTP: what Prometheus scrapes, what a balancer asks, what an old dashboard reads."""

from __future__ import annotations

import json
import time

from tests.masterd_process import MasterdProcess
from tests.scraping import assert_promtool_takes, get, scrape


def test_a_master_is_scraped(masterd: MasterdProcess) -> None:
    path = f"{masterd.unix_path}.http"
    assert get(path, "/healthz") == (200, b"ok\n")
    assert get(path, "/readyz") == (200, b"ready\n")
    assert_promtool_takes(path)
    deadline_s = time.monotonic() + 60
    while not (found := scrape(path))["masterd_offer_cycle_seconds_count",]:
        assert time.monotonic() < deadline_s, "no cycle is counted"
    assert found["masterd_ready",] == 1
    assert found["process_resident_memory_bytes",] > 10**7
    _, text = get(path, "/metrics/snapshot")
    assert json.loads(text)["master/elected"] == 1
