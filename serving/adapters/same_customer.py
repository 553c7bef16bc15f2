"""Who is one customer: everybody they are linked with, directly or through others."""

from __future__ import annotations

SAME = """
WITH RECURSIVE same (ref) AS (
    VALUES (?) UNION SELECT other_ref FROM identity_links JOIN same ON customer_ref = ref
)
"""
"""Begins a statement in SQLite that reads them as ``same``; its first value is the customer's reference."""
