"""Paddock's daemons on this machine, for tests, the demonstration and the bench."""
