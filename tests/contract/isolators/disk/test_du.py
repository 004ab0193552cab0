"""disk/du keeps what every isolator promises."""

from isolators.disk.du import DiskUsageIsolator
from isolators.testing import IsolatorContract


class TestDiskUsageIsolator(IsolatorContract):
    isolator_class = DiskUsageIsolator
