"""What the longer commands of `python -m app` do."""
