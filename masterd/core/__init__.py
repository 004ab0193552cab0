"""The master's mind: events in, effects out. Pure: time, ids and randomness are arguments."""
