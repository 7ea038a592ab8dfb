"""What sellers ask to have looked at by a person: a figure that they dispute, or their score; and what became of it."""
