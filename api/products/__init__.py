"""Financing products of banks, and the eligibility of scored sellers for them."""
