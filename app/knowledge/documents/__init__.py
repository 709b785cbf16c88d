"""What is known, document by document."""
