"""Building blocks that every resource uses: database, fields, problems, pagination, idempotency keys, middleware."""
