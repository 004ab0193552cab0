"""cgroups/cpu keeps what every isolator promises."""

from isolators.cgroups.cpu import CpuIsolator
from isolators.testing import IsolatorContract


class TestCpuIsolator(IsolatorContract):
    isolator_class = CpuIsolator
