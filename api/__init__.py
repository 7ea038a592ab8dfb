"""The HTTP service: what a bank calls, and the commands that read the registered model."""
