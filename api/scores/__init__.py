"""Scores: issued from the seller's latest vector, stored in the ledger, and read back byte for byte."""
