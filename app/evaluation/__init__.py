"""Retrieval and answers, measured on judged questions."""
