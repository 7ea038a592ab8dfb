"""The service's two key rings: which there are, how each lives, and the commands that list and rotate them."""
