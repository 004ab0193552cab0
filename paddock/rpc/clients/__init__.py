"""Typed clients of the daemons' services, for the command and for programs that look: model values in and out."""
