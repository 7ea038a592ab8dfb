"""Stores of the state folder: accepted operating data, tiles, vectors, seller context and profiles."""
