"""Versions of the operational database's schema, run by alembic."""
