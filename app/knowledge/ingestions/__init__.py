"""Runs over sources: how they go on, and what is told about them."""
