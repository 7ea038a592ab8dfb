"""Idempotency keys: a caller names a request, and however often it is sent, what it asks for is done once."""
