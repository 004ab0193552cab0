"""A real Docker engine and registry of one's own, in a network namespace, a directory and a cgroup of their own."""
