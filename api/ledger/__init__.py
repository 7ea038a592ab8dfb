"""The ledger: append-only, chained row by row, encrypted under a key per seller, so that erasing leaves it whole."""
