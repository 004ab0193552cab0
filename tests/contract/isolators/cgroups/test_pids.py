"""cgroups/pids keeps what every isolator promises."""

from isolators.cgroups.pids import PidsIsolator
from isolators.testing import IsolatorContract


class TestPidsIsolator(IsolatorContract):
    isolator_class = PidsIsolator
