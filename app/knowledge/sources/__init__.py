"""Where documents come from, as users see it."""
