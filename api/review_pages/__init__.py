"""The queue of reviews, as pages for operators; the same acts as over the API."""
