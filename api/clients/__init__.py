"""API clients: create them, rotate their credentials and revoke them; each change is an entry of the ledger."""
