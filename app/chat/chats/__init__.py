"""Chats: conversations whose messages follow each other in branches."""
