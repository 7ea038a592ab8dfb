"""Watches models at work: the scores that were given, held against the training population and the outcomes so far."""
