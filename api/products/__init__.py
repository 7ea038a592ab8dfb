"""Financing products: what a bank offers and to whom, and for which of them a scored seller qualifies."""
