"""Configuration, read from the environment and `.env`; imports nothing from `app`."""

from settings.base import (
    OFFLINE_MODEL,
    ROOT,
    Auth,
    Environment,
    ModelPrice,
    Settings,
    load_settings,
)

__all__ = [
    "OFFLINE_MODEL",
    "ROOT",
    "Auth",
    "Environment",
    "ModelPrice",
    "Settings",
    "load_settings",
]
