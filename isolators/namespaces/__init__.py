"""Isolators whose means are namespaces."""
