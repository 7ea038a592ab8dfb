"""Who may call: clients (banks, the platform, operators), how they prove themselves, what their tokens allow."""
