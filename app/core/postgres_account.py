"""Which account PostgreSQL's programs run as: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.exceptions import StartupError

__all__ = ["Account", "in_background"]

_ROOT = 0
_SERVICE_ACCOUNTS = ("postgres", "nobody")
# What lets an account enter directories that are closed to it, the lesser power first. Root in a
# container often has the second one only.
_CAPABILITIES = ("dac_read_search", "dac_override")
# Nothing of this process's own: no secrets, no PG* variables, no locale that PostgreSQL minds.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_PROBE_TIMEOUT_SEC = 10.0


@dataclass(frozen=True)
class Account:
    """An account to run programs as; without `uid` and `gid` it is this process's own."""

    uid: int | None = None
    gid: int | None = None
    prefix: tuple[str, ...] = ()  # of each command line; then it is the prefix that changes ids

    @classmethod
    def for_postgres(cls, data_dir: Path, cluster: Path) -> "Account":
        """This process's own account or, for root, an existing one without its powers.

        That is who owns the cluster already, else who owns `data_dir`, else a service account.
        """
        if os.geteuid() != _ROOT:
            return cls()
        if cluster.exists():
            owner = cluster.stat()
            return cls(owner.st_uid, owner.st_gid)
        for who in (data_dir.stat().st_uid, *_SERVICE_ACCOUNTS):
            entry = _passwd_entry(who)
            if entry is not None and entry.pw_uid != _ROOT:
                return cls(entry.pw_uid, entry.pw_gid)
        raise StartupError(
            "PostgreSQL does not run as root and this machine has no account named "
            f"{' or '.join(_SERVICE_ACCOUNTS)}: create one, or run bRAG as an ordinary user."
        )

    def reaching(self, program: Path, *directories: Path) -> "Account":
        """This account, able to run `program` and to enter `directories`.

        Below a closed directory, such as root's home, it gets one capability instead of a wider
        mode on a directory that is not bRAG's.
        """
        closed = [path for each in (program, *directories) for path in self._closed(each)]
        if not closed:
            return self
        setpriv = shutil.which("setpriv")
        for capability in _CAPABILITIES if setpriv else ():
            account = replace(
                self,
                prefix=(
                    str(setpriv),
                    f"--reuid={self.uid}",
                    f"--regid={self.gid}",
                    "--clear-groups",
                    f"--inh-caps=+{capability}",
                    f"--ambient-caps=+{capability}",
                ),
            )
            if account.run([str(program), "--version"], timeout_sec=_PROBE_TIMEOUT_SEC) == 0:
                return account
        raise StartupError(
            f"PostgreSQL does not run as root and its account may not enter {closed[0]}: run bRAG "
            "as an ordinary user, or move it and VAR_DIR to where every account may go, such as "
            "/opt and /var/lib."
        )

    def _closed(self, path: Path) -> list[Path]:
        """Those of `path` and its parents that the account may not enter (or run), outermost first.

        Root's own processes need no check: the system refuses, and says where.
        """
        if self.uid is None:
            return []
        path = path.resolve()
        closed = []
        for each in (*reversed(path.parents), path):
            entry = each.stat()
            if entry.st_uid == self.uid:
                bit = stat.S_IXUSR
            else:
                bit = stat.S_IXGRP if entry.st_gid == self.gid else stat.S_IXOTH
            if not entry.st_mode & bit:
                closed.append(each)
        return closed

    def make_dir(self, path: Path) -> None:
        """Create a directory that only this account may enter; keep one that is there."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.own(path)

    def has_to_itself(self, directory: Path) -> bool:
        """Whether `directory` exists, is this account's, and is closed to all others."""
        try:
            entry = directory.lstat()
        except FileNotFoundError:
            return False
        owner = os.geteuid() if self.uid is None else self.uid
        return entry.st_mode == stat.S_IFDIR | 0o700 and entry.st_uid == owner

    def own(self, path: Path) -> None:
        """Give `path` to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_sec: float,
        output: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
        env: Mapping[str, str] = _ENVIRONMENT,
    ) -> int:
        """Run a program to its end, out of reach of the terminal's Ctrl-C; returns its status."""
        switch = self.uid is not None and not self.prefix
        return subprocess.run(
            [*self.prefix, *command],
            user=self.uid if switch else None,
            group=self.gid if switch else None,
            extra_groups=[] if switch else None,
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
            timeout=timeout_sec,
            check=False,
        ).returncode


def in_background(command: Sequence[str]) -> list[str]:
    """A command that starts `command` and ends: it outlives this process, and is not its child."""
    return ["/bin/sh", "-c", '"$@" &', "sh", *command]


def _passwd_entry(who: int | str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(who) if isinstance(who, int) else pwd.getpwnam(who)
    except KeyError:
        return None
