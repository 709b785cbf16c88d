"""Routes to register and to log in, by a link that is sent by mail."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Request, Response, status
from pydantic import BaseModel, Field

from app.accounts.addresses import Address
from app.accounts.dependencies import LoginLimitDep, limit_verifications
from app.accounts.links import LinkNotValid, send_link, use_link
from app.accounts.mail import Mailer
from app.accounts.schemas import Profile
from app.accounts.sessions import Session, begin_session, set_session_cookie
from app.core.database import Queries
from app.core.dependencies import DatabaseDep, SettingsDep
from app.core.exceptions import Conflict
from app.core.models import ErrorResponse
from settings import Settings

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "Nobody logs in here: AUTH is off."},
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database or mail is unavailable."},
}
NOT_VALID: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "The link is not valid, or no longer."}
}
TOO_MANY: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorResponse, "description": "Too many links were asked for."}
}
TOO_MANY_TRIED: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorResponse, "description": "Too many links were tried."}
}
# The same whether or not there is such an account.
SENT = "If this address can log in, a link is on its way."


SendLink = Callable[[str, bool], Awaitable["LinkSent"]]


class NobodyLogsIn(Conflict):
    """Nobody logs in here: AUTH is off, and everything belongs to whoever can reach this server."""

    code = "auth_off"


class LinkRequest(BaseModel):
    """Who wants to log in."""

    email: Address


class LinkSent(BaseModel):
    """That a link is sent, if there is anybody to send it to."""

    message: str = Field(examples=[SENT])


class LinkToken(BaseModel):
    """What the link holds after `token=`."""

    token: str = Field(examples=["q8Zk1rWqYh0m5c3sVb7n2xTtJ4eLd9fGuRpAoCiKyMw"])


class LoggedIn(BaseModel):
    """A session: in `token` for programs, in a cookie for pages."""

    token: str
    csrf_token: str = Field(
        description="Pages send it as `X-CSRF-Token` with every request that changes something."
    )
    expires_at: datetime
    account: Profile


async def _require_auth(settings: SettingsDep) -> None:
    if not settings.requires_auth:
        raise NobodyLogsIn


async def _link_sender(
    request: Request,
    tasks: BackgroundTasks,
    count_login: LoginLimitDep,
    database: DatabaseDep,
    settings: SettingsDep,
) -> SendLink:
    mailer: Mailer = request.state.resources.mailer

    async def send(email: str, registers: bool) -> LinkSent:
        mailer.require()
        await count_login(email)
        # Everything else comes after the response: its time, too, is the same for all addresses.
        tasks.add_task(send_link, database, mailer, settings, email, registers=registers)
        return LinkSent(message=SENT)

    return send


LinkSenderDep = Annotated[SendLink, Depends(_link_sender)]

router = APIRouter(
    prefix="/v1", tags=["accounts"], responses=FAILURES, dependencies=[Depends(_require_auth)]
)


@router.post("/register", status_code=status.HTTP_202_ACCEPTED, responses=TOO_MANY)
async def register(wanted: LinkRequest, send: LinkSenderDep) -> LinkSent:
    """Have a link sent that logs in; its first use makes the account."""
    return await send(wanted.email, True)


@router.post("/login", status_code=status.HTTP_202_ACCEPTED, responses=TOO_MANY)
async def login(wanted: LinkRequest, send: LinkSenderDep) -> LinkSent:
    """Have a link sent that logs in, if there is an account with this address."""
    return await send(wanted.email, False)


@router.post(
    "/login/verify",
    dependencies=[Depends(limit_verifications)],
    responses=NOT_VALID | TOO_MANY_TRIED,
)
async def verify(
    link: LinkToken, response: Response, database: DatabaseDep, settings: SettingsDep
) -> LoggedIn:
    """Log in with a link: once, within 15 minutes."""
    if not link.token.isascii():
        raise LinkNotValid
    account, session = await database.run(_log_in, settings, link.token)
    set_session_cookie(response, settings, session)
    response.headers["Cache-Control"] = "no-store"
    return LoggedIn(
        token=session.token,
        csrf_token=session.csrf_token,
        expires_at=session.expires_at,
        account=Profile(**account),
    )


def _log_in(queries: Queries, settings: Settings, token: str) -> tuple[dict[str, Any], Session]:
    account = use_link(queries, settings, token)
    return account, begin_session(queries, settings, account["id"])
