"""Scores over HTTP: what is read of them."""
