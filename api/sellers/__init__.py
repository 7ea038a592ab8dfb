"""Profiles of sellers for banks, under a consent of the seller."""
