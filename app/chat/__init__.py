"""Questions: prompts, answers, streams and stored messages."""
