"""Routes about one's own account: the session, the profile, API tokens."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response, status

from app.accounts import api_tokens, profile
from app.accounts.authentication import csrf_token_for_page
from app.accounts.dependencies import CallerDep
from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller
from app.accounts.schemas import (
    Account,
    ApiToken,
    DeletedAccount,
    NewApiToken,
    NewToken,
    Profile,
    ProfileChange,
)
from app.accounts.sessions import clear_session_cookie
from app.core.dependencies import DatabaseDep, SettingsDep
from app.core.exceptions import Conflict
from app.core.models import ErrorResponse

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorResponse, "description": "The database is unavailable."},
}
FORBIDDEN: dict[int | str, dict[str, Any]] = {
    403: {"model": ErrorResponse, "description": "It needs a session, or more than you may."}
}
INVALID: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorResponse, "description": "The request is not valid."}
}


class AuthIsOff(Conflict):
    """AUTH is off: there are no sessions and no tokens. Set AUTH=required to have accounts."""

    code = "auth_off"


class LocalAccountStays(Conflict):
    """AUTH is off, and everything belongs to the local account: it can't be deleted."""

    code = "local_account_stays"


async def _auth_is_on(settings: SettingsDep) -> None:
    if not settings.requires_auth:
        raise AuthIsOff


async def _logged_in(caller: CallerDep) -> Caller:
    # A token that leaked must not outlive its end by making others, nor take the account with it.
    if caller.token_id is not None and not caller.is_session:
        raise Forbidden("An API token can't do this. Log in, and use the session's token.")
    return caller


LoggedInDep = Annotated[Caller, Depends(_logged_in)]

router = APIRouter(prefix="/v1", tags=["account"], responses=FAILURES)
tokens_router = APIRouter(
    prefix="/tokens",
    dependencies=[Depends(_auth_is_on)],
    responses=FORBIDDEN
    | {409: {"model": ErrorResponse, "description": "AUTH is off, or there are too many."}},
)


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Depends(_auth_is_on)],
    responses=FORBIDDEN | {409: {"model": ErrorResponse, "description": "AUTH is off."}},
)
async def logout(
    caller: LoggedInDep, response: Response, database: DatabaseDep, settings: SettingsDep
) -> None:
    """End the session that this request belongs to."""
    await database.run_statement(lambda queries: queries.delete_session(token_id=caller.token_id))
    clear_session_cookie(response, settings)


@router.get("/me")
async def get_account(
    request: Request,
    response: Response,
    caller: CallerDep,
    database: DatabaseDep,
    settings: SettingsDep,
) -> Account:
    """Your account."""
    response.headers["Cache-Control"] = "no-store"
    found = await profile.find(database, caller.account_id)
    return Account(
        **found.model_dump(),
        auth=settings.auth,
        csrf_token=csrf_token_for_page(request, settings),
    )


@router.patch("/me", responses=FORBIDDEN | INVALID)
async def update_account(
    change: ProfileChange, caller: LoggedInDep, database: DatabaseDep
) -> Profile:
    """Change your name, or what you know: answers are written for it."""
    return await profile.update(database, caller.account_id, change)


@router.delete(
    "/me",
    responses=FORBIDDEN
    | {409: {"model": ErrorResponse, "description": "AUTH is off, or there is no other admin."}},
)
async def delete_account(
    caller: LoggedInDep, response: Response, database: DatabaseDep, settings: SettingsDep
) -> DeletedAccount:
    """Delete your account with everything that belongs to it, for good.

    Its sources with their documents, passages and points in the index, questions and answers,
    sessions and API tokens.
    """
    if not settings.requires_auth:
        raise LocalAccountStays
    deleted = await profile.delete(database, caller.account_id)
    clear_session_cookie(response, settings)
    return deleted


@tokens_router.post("", status_code=status.HTTP_201_CREATED, responses=INVALID)
async def create_token(
    new: NewToken,
    caller: LoggedInDep,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
) -> NewApiToken:
    """Make an API token; it is shown this once."""
    response.headers["Cache-Control"] = "no-store"
    return await api_tokens.create(database, settings, caller, new)


@tokens_router.get("")
async def list_tokens(caller: LoggedInDep, database: DatabaseDep) -> list[ApiToken]:
    """Your API tokens, newest first, without the tokens themselves."""
    return await api_tokens.find_all(database, caller.account_id)


@tokens_router.delete(
    "/{token_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=INVALID | {404: {"model": ErrorResponse, "description": "You have no such token."}},
)
async def revoke_token(token_id: UUID, caller: LoggedInDep, database: DatabaseDep) -> None:
    """Revoke an API token: from now on no request is accepted with it."""
    await api_tokens.revoke(database, caller.account_id, token_id)


router.include_router(tokens_router)
