"""The picture of a seller, to a bank that the seller let look: as JSON and as a page to print."""
