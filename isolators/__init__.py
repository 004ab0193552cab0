"""What keeps a container within its bounds: one module per isolator, of the same name as its flag."""
