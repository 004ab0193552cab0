"""A real masterd over HTTP: what Prometheus scrapes, what a balancer asks, what an old dashboard reads."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

from tests.masterd_process import MasterdProcess


def get(path: str, page: str, accept: str = "") -> tuple[int, bytes]:
    """By a client that is not ours."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    try:
        connection.request("GET", page, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_master_is_scraped(masterd: MasterdProcess) -> None:
    path = f"{masterd.unix_path}.http"
    assert get(path, "/healthz") == (200, b"ok\n")
    assert get(path, "/readyz") == (200, b"ready\n")
    status, text = get(path, "/metrics")
    assert status == 200
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")
    _, text = get(path, "/metrics", "application/openmetrics-text; version=1.0.0")
    found = {family.name: family for family in parsed(text.decode())}  # type: ignore[no-untyped-call]
    assert found["masterd_ready"].samples[0].value == 1
    assert found["masterd_offer_cycle_seconds"].type == "histogram"
    assert found["process_resident_memory_bytes"].samples[0].value > 10**7
    _, text = get(path, "/metrics/snapshot")
    assert json.loads(text)["master/elected"] == 1
