"""One master for many agents: it offers their resources to frameworks, fairly."""
