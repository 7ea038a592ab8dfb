"""Shadow scores: what a challenger would have scored for the same requests; kept beside, and shown to no bank."""
