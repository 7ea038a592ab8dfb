"""Pages for people: one look for all of them, rendered on the server, complete without script or a second request."""
