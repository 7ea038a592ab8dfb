"""Consents: a seller lets a bank score them, for a purpose and a time, and may end it at any moment."""
