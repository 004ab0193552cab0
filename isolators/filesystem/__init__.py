"""Isolators of what a task sees of the file system."""
