"""gRPC as both daemons and all their clients use it: servers, channels, errors, identity, health, reflection."""
