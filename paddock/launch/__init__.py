"""Launcher and shim: they start a container's command, hold its logs and limits, and record its end.

Standard library and paddock.kernel only. What runs here outlives every daemon, so its protocol carries a format number.
"""
