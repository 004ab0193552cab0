"""The agent's gRPC services, and its client of the master. Only here does agentd know protobuf."""
