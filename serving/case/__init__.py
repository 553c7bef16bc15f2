"""The page of a case: one decision, told to whoever must answer for it."""
