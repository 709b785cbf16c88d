"""What others do with the same documents, in environments of their own."""
