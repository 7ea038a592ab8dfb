"""Figures: each group measures its pairs side by side in one run; `make bench` prints them and writes var/bench.json."""
