"""Authentication and authorization: clients, tokens, scopes, rate limits, signing keys and seller sessions."""
