"""Who asks: accounts, sessions, API tokens."""
