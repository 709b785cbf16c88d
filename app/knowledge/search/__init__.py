"""Searching the knowledge base."""
