"""Configuration, read from the environment and `.env`; imports nothing from `app`."""

from settings.base import ROOT, Environment, Settings, load_settings

__all__ = ["ROOT", "Environment", "Settings", "load_settings"]
