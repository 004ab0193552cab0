"""Isolators by what POSIX has."""
