"""docs/metrics.md is what the code says."""

from setup.metrics_page import page
from tests.architecture.source import ROOT


def test_the_page_is_current() -> None:
    words = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert words == page(), "run: .venv/bin/python -m setup.metrics_page > docs/metrics.md"
