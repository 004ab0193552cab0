"""Docker: the engine's client, and the process that stands in for a container of the engine."""
