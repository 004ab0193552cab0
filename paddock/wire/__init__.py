"""What goes over the wire: the generated messages, and the one place that turns them into the model and back."""
