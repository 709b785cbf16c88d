"""What routes ask for, from the state that the lifespan has built.

Dependencies are async even where they wait for nothing: FastAPI runs others in a thread.
"""

from typing import Annotated

from fastapi import Depends, Request

from app.core.database import Database
from settings import Settings

__all__ = ["DatabaseDep", "SettingsDep"]


async def _database(request: Request) -> Database:
    database: Database = request.state.resources.database
    return database


async def _settings(request: Request) -> Settings:
    settings: Settings = request.state.resources.settings
    return settings


DatabaseDep = Annotated[Database, Depends(_database)]
SettingsDep = Annotated[Settings, Depends(_settings)]
