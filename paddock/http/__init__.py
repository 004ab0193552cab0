"""HTTP as both daemons speak it: metrics and health for programs that do not speak gRPC."""
