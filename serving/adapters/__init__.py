"""What stands behind the ports: Feast, bundles, SQLite, and stores in memory. Only bootstrap builds them."""
