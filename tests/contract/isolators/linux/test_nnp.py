"""linux/nnp keeps what every isolator promises."""

from isolators.linux.nnp import NoNewPrivilegesIsolator
from isolators.testing import IsolatorContract


class TestNoNewPrivilegesIsolator(IsolatorContract):
    isolator_class = NoNewPrivilegesIsolator
