"""Receipts: each score is signed, and whoever has the public keys can check it without us."""
