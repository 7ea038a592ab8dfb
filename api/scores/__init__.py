"""Scores: made from the seller's latest vector, stored, and read back byte for byte."""
