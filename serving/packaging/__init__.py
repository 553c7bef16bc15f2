"""Bentos that stand alone: what goes in, what they need, how they are built."""
