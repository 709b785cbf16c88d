"""Compares PostgreSQL with itself and with every index, and mends what differs."""
