"""Running git so that it can neither hang, ask, obey anyone's configuration nor be left behind.

What git needs from the environment is named here; all the rest, the user's configuration and
credentials included, it does not see.
"""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Final

from pydantic import SecretStr

from app.knowledge.connectors.git_errors import GitFailed, NoGit, TimedOut
from app.knowledge.connectors.git_remote import Remote

__all__ = ["Git"]

_INIT_TIMEOUT_SEC: Final = 30.0
_MAX_FILE_BYTES: Final = 2_000_000_000
# A small pack can hold objects that fill any memory.
_MAX_MEMORY_BYTES: Final = 4_000_000_000
# The shell's answer.
_NOT_FOUND: Final = 127
_MAX_ERROR_BYTES: Final = 20_000

# The shell leads the process group. Its standard input is a pipe whose other end only bRAG holds:
# when bRAG closes it or is killed, the guard kills the group, git's own helpers included.
# Not every system limits memory (-v).
_SCRIPT: Final = """
input=$1
trap '' XFSZ  # so that git can say that a file is too large
ulimit -c 0; ulimit -f "$2"; ulimit -v "$3" 2>/dev/null
shift 3
exec 3<&0
"$@" <"$input" 3<&- &
git=$!
{ read -r _ <&3; kill -9 -$$; } &
guard=$!
wait $git
status=$?
kill -9 $guard
wait $guard 2>/dev/null
exit $status
"""

_OPTIONS: Final = {
    "core.bigFileThreshold": "16m",
    "core.hooksPath": "/dev/null",
    "core.packedGitLimit": "512m",
    "core.packedGitWindowSize": "32m",
    "fetch.negotiationAlgorithm": "noop",  # the blobs of a commit we have may still be missing
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "2",
}
_NETWORK_OPTIONS: Final = {
    "http.lowSpeedLimit": "1000",  # bytes/s
    "http.lowSpeedTime": "30",
}

_SSH: Final = (
    "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=2 "
    "-o ControlPath=none"
)
# A helper instead of a header or GIT_ASKPASS: git asks it only for this scheme, host and port, so
# no redirect gets the token; only when the server wants one; and there is no file.
_HELPER: Final = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$BRAG_USER" "$BRAG_TOKEN"; '
    "}; f"
)
_PASSED_ON: Final = (
    "PATH",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


class Git:
    """Git for one repository below `home`, with one remote, which it knows as `origin`."""

    def __init__(self, home: Path, remote: Remote, token: SecretStr | None) -> None:
        self._home = home
        self._repository: Path | None = None
        self._secret = ""
        self._network_options = {"remote.origin.url": remote.url, "credential.helper": ""}
        self._network_environment = {"GIT_ALLOW_PROTOCOL": remote.protocols}
        if token is not None and remote.token_scope is not None:
            user, colon, self._secret = token.get_secret_value().strip().rpartition(":")
            self._network_options[f"credential.{remote.token_scope}.helper"] = _HELPER
            # A forge wants any name with a token; who wants a certain one writes `name:token`.
            name = user if colon else "token"
            self._network_environment |= {"BRAG_USER": name, "BRAG_TOKEN": self._secret}

    def init(self, object_format: str) -> None:
        """Go on with an empty repository."""
        self._repository = Path(tempfile.mkdtemp(suffix=".git", dir=self._home))
        arguments = ("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
        with self.local(*arguments, timeout_sec=_INIT_TIMEOUT_SEC):
            pass

    def local(
        self, *arguments: str, timeout_sec: float, words: Iterable[str] = ()
    ) -> AbstractContextManager[IO[bytes]]:
        """Run a command that may not reach the network, `words` its input; give its output.

        Raises:
            GitFailed: it failed, or took too long.
        """
        command = self._command(_OPTIONS, arguments)
        return self._run(command, self._environment(), timeout_sec, words)

    def network(
        self, *arguments: str, timeout_sec: float, words: Iterable[str] = ()
    ) -> AbstractContextManager[IO[bytes]]:
        """Run a command that speaks with the remote, `words` its input; give its output.

        Raises:
            GitFailed: it failed, or took too long.
        """
        command = self._command(_OPTIONS | _NETWORK_OPTIONS | self._network_options, arguments)
        environment = self._environment() | self._network_environment
        return self._run(command, environment, timeout_sec, words)

    @contextmanager
    def stream(self, *arguments: str, words: Iterable[str] = ()) -> Iterator[IO[bytes]]:
        """Run a local command, `words` its input; give its output, to be read whole, bit by bit.

        It waits for its reader, and ends with it.

        Raises:
            GitFailed: it failed.
        """
        with (
            self._input(words) as words_file,
            subprocess.Popen(
                self._command(_OPTIONS, arguments),
                cwd=self._home,
                env=self._environment(),
                stdin=words_file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
            process.stdout.close()
            if process.wait() != 0:
                raise GitFailed("the repository is damaged")

    def _command(self, options: dict[str, str], arguments: Sequence[str]) -> list[str]:
        pairs = [part for option in options.items() for part in ("-c", "=".join(option))]
        return ["git", *pairs, *arguments]

    def _environment(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return passed_on | {
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            # Without one, git would look for a repository in the folders above.
            "GIT_DIR": str(self._repository or "/dev/null"),
            # What is missing is fetched in one go, by us; older versions don't know this.
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_SSH_COMMAND": _SSH,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_TERMINAL_PROMPT": "0",
            # No configuration for older versions either, and no passwords of curl's.
            "HOME": "/dev/null",
            "LC_ALL": "C",
        }

    @contextmanager
    def _run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout_sec: float,
        words: Iterable[str],
    ) -> Iterator[IO[bytes]]:
        limits = (str(_MAX_FILE_BYTES // 512), str(_MAX_MEMORY_BYTES // 1024))
        # Files instead of pipes: a flood of output fills no memory, and meets the limit.
        with (
            self._input(words) as words_file,
            tempfile.TemporaryFile(dir=self._home) as output,
            tempfile.TemporaryFile(dir=self._home) as errors,
        ):
            process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", words_file.name, *limits, *command],
                cwd=self._home,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            status = _wait(process, timeout_sec)
            if status == -signal.SIGKILL:
                raise TimedOut(f"stopped after {timeout_sec:.0f} s")
            if status == _NOT_FOUND:
                raise NoGit("git was not found")
            if status != 0:
                raise GitFailed(self._tail(errors))
            output.seek(0)
            yield output

    @contextmanager
    def _input(self, words: Iterable[str]) -> Iterator[IO[bytes]]:
        with tempfile.NamedTemporaryFile(dir=self._home) as file:
            file.writelines(f"{word}\n".encode() for word in words)
            file.seek(0)
            yield file

    def _tail(self, errors: IO[bytes]) -> str:
        size = errors.seek(0, os.SEEK_END)
        errors.seek(max(0, size - _MAX_ERROR_BYTES))
        text = errors.read().decode(errors="replace")
        # Nothing of ours writes it there, but a server could.
        return text.replace(self._secret, "***") if self._secret else text


def _wait(process: subprocess.Popen[bytes], timeout_sec: float) -> int:
    lifeline = process.stdin
    assert lifeline is not None
    timer = threading.Timer(timeout_sec, lifeline.close)
    try:
        timer.start()
        return process.wait()
    finally:
        timer.cancel()
        lifeline.close()
        process.wait()
