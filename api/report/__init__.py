"""A credit officer's page on one score: what was signed, drawn and put into words, complete without us."""
