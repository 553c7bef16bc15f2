"""One BentoML service a model: raw scores, and scaling apart from the decisions.

They need no database: a model from its bundle, a catalogue, and keys. What they answer leaves no record.
"""
