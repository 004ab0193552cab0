"""Isolators whose means are cgroups, v1 and v2."""
