"""The `paddock` command: one module per verb; importing the package loads no gRPC."""
