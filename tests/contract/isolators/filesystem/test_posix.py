"""filesystem/posix keeps what every isolator promises."""

from isolators.filesystem.posix import PosixFilesystemIsolator
from isolators.testing import IsolatorContract


class TestPosixFilesystemIsolator(IsolatorContract):
    isolator_class = PosixFilesystemIsolator
