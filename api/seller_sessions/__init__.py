"""Logging people in to the pages: a one-time link becomes a short session; no passwords."""
