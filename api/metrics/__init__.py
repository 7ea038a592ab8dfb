"""What the service counts of itself, in the form that Prometheus reads; no seller and no client is named."""
