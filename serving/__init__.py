"""Deciding, and everything a decision needs while it is made: the service's half of Moment."""
