"""Sandboxes that nobody wants any more: which, when, and how they go."""
