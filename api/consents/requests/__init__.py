"""Consent requests: a bank asks, the platform shows it to its seller, who grants or declines."""
