"""What the agent decides, as values: events in, effects out. No clock, no randomness, no input or output in here."""
