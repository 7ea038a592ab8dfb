"""Benchmarks: each group measures its pairs side by side in one run; `make bench` prints and writes the figures."""
