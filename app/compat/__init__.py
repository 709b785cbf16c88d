"""Routes that clients of earlier backends already speak, over the same services."""
