"""The demonstration: eight rows, each asked · expected · seen · verdict, through the scheduler library and gRPC only."""
