"""The master's services: protobuf in, events to the shell, answers and streams back."""
