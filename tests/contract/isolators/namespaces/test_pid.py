"""namespaces/pid keeps what every isolator promises."""

from isolators.namespaces.pid import PidNamespaceIsolator
from isolators.testing import IsolatorContract


class TestPidNamespaceIsolator(IsolatorContract):
    isolator_class = PidNamespaceIsolator
