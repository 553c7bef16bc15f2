"""What Moment does for a caller, in terms of the core and the ports. No HTTP, no SQL, no vendor."""
