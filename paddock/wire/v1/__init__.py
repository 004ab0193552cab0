"""Messages and stubs of paddock.wire.v1, generated from proto/ by `make proto`: never edited."""
