"""A catalogue as a version of next-best-action: how it is read, judged and entered."""
