"""What OpenAI's own clients speak, and all that is made for them."""
