"""Documents' bytes into text, by content and not by name."""
