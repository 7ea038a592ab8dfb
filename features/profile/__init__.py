"""The picture of a seller: operating indexes, twelve months, standing among peers, coverage, and questions to ask.

What many sellers must be looked at for is computed when data has landed (`landing`, with `steps` and `peers`) and
stored beside the vectors (`stored`); what follows from that is made when it is read (`picture`).
"""
