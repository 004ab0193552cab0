"""A daemon's pages over HTTP, by a client that is not ours; and what a parser of metrics reads there."""

from __future__ import annotations

import http.client
import socket
import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Series = dict[tuple[str, ...], float]
"""Name and labels as `key=value`, sorted → value."""


def get(unix_path: str, page: str, accept: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(unix_path)
    try:
        connection.request("GET", page, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def assert_promtool_takes(unix_path: str) -> None:
    """The older text: the only one that promtool reads."""
    _, plain = get(unix_path, "/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=plain, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b""), plain.decode()


def scrape(unix_path: str) -> Series:
    """All series."""
    status, text = get(unix_path, "/metrics", OPENMETRICS)
    assert status == 200, text
    found: Series = {}
    for family in parsed(text.decode()):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found[sample.name, *sorted(f"{key}={value}" for key, value in sample.labels.items())] = sample.value
    return found
