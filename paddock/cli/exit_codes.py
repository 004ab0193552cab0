"""The command's exit codes, by name. They are a promise to scripts: none ever changes its meaning.

`run`, `wait` and `exec` pass the task's own code through, 128 + n for a signal n.
"""

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
PERMISSION = 5
UNAVAILABLE = 6
TIMED_OUT = 124
NOT_RUN = 125
"""Paddock could not run the task."""

NOT_EXECUTABLE = 126
NO_SUCH_COMMAND = 127
INTERRUPTED = 130
BROKEN_PIPE = 141
