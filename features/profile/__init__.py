"""The seller profile: operating indexes, twelve-month series, peer ranks, data coverage and integrity questions.

`compute` computes sums and ranks of all sellers when data lands; `profile` builds one seller's profile from them.
"""
