"""Pages for people: seller pages, operator pages, printable documents and charts."""
