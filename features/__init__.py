"""What we know about a customer: contracts, sources, features and their store."""
