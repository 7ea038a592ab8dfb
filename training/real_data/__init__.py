"""`make real-data`: train and test on data from outside this project; writes docs/real-data.md.

`firms` takes 425 real firms from invoices to explained scores. `koubei` predicts falling sales of real merchants.
`credit` trains on public credit tables, whose published results are the reference.
"""
