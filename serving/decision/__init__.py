"""THE CORE: which action is best for this customer, now. Pure functions and frozen values.

No clock, no randomness of its own, no I/O: the time, the generator and the scores are parameters. Same
inputs, versions and seed give the same decision, bit for bit.
"""
