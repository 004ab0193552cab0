"""posix/rlimits keeps what every isolator promises."""

from isolators.posix.rlimits import RlimitsIsolator
from isolators.testing import IsolatorContract


class TestRlimitsIsolator(IsolatorContract):
    isolator_class = RlimitsIsolator
