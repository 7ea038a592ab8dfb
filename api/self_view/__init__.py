"""The seller's own view: a ledger score with purpose `self_view`, in a chain that no bank reads."""
