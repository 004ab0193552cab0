"""Frameworks to read and to copy from; the tests run them."""
