"""What can be told to be wrong before anything is started."""

import errno
import socket

from pydantic import ValidationError

from app.core.exceptions import StartupError
from settings import Settings, load_settings

__all__ = ["checked_settings", "require_free_port"]

MAX_PORT = 65535


def checked_settings() -> Settings:
    """Load the settings.

    Raises:
        StartupError: the environment or `.env` holds a value that can't be used; names each.
    """
    try:
        return load_settings()
    except ValidationError as error:
        problems = [
            ": ".join(
                # What concerns several settings has no place, and names them itself.
                (*(str(name).upper() for name in problem["loc"][:1]), _words(problem["msg"]))
            )
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise StartupError(
            f"The settings are not valid. {'; '.join(problems)}. See .env.example."
        ) from None


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def require_free_port(host: str, port: int) -> None:
    """Check that a server could listen there.

    Raises:
        StartupError: it could not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port that is only winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartupError(
                    f"Port {port} on {host} is in use. Stop the program that uses it, or choose "
                    f"another port: PORT={port - 1 if port == MAX_PORT else port + 1}."
                ) from None
            raise StartupError(
                f"bRAG can't listen on {host}:{port} ({error.strerror}). Check HOST and PORT."
            ) from None
