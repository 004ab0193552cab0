"""Isolators of privileges."""
