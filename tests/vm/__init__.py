"""A virtual machine with cgroup v2 (or v1), and the tests that run inside it."""
