"""`make real-data`: trained and judged on data that nobody here made; writes docs/real-data.md.

`firms` takes 425 real firms the whole way, from invoices to explained scores. `credit` takes public credit tables
through the same fit, calibration, scorecard and figures, to hold them against what others published.
"""
