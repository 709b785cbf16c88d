"""Configuration, read from the environment and `.env`; imports nothing from `app`."""

from settings.base import Environment, Settings, load_settings

__all__ = ["Environment", "Settings", "load_settings"]
