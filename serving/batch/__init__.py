"""Next best actions for a whole population: the same decisions as single ones, in chunks, to a file."""
