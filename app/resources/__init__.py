"""The only place where clients are built and closed, and where embedded or not is decided."""
