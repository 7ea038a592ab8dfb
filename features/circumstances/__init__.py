"""What is known of a seller as of T that is no feature: the country, the base currency, and what currencies are worth.

Computed when data has landed (`landing`), stored beside the vectors (`stored`).
"""
