"""linux/capabilities keeps what every isolator promises."""

from isolators.linux.capabilities import CapabilitiesIsolator
from isolators.testing import IsolatorContract


class TestCapabilitiesIsolator(IsolatorContract):
    isolator_class = CapabilitiesIsolator
