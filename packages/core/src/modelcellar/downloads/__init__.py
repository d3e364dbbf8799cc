"""Downloads: from a name or an address to models of the library that are what was published."""
