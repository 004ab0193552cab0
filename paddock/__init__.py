"""Paddock runs tasks on a cluster of Linux machines and keeps every task inside its own bounds."""

__version__ = "0.1.0"
