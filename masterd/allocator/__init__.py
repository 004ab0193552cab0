"""Who is offered what: pure, exact, and deterministic for a given source of randomness."""
