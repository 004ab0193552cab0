"""What makes a process a good daemon: configuration, logs, the loop and its threads, clocks, readiness."""
