"""cgroups/mem keeps what every isolator promises."""

from isolators.cgroups.mem import MemoryIsolator
from isolators.testing import IsolatorContract


class TestMemoryIsolator(IsolatorContract):
    isolator_class = MemoryIsolator
