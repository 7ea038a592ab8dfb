"""The credit officer's page."""
