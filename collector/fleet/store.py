"""What earlier audits said: in a file beside the cases (SQLite), or in a PostgreSQL that many share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import TypeAdapter, ValidationError

from collector.errors import ConfigError, MissingExtraError, StorageError
from collector.model.audit import HostAudit

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnElement, Delete, Engine, Label

KEEP = 60
"""Audits of a host that are kept: two months of nights. Those without an answer are counted apart."""

_AT_ONCE = 500
"""Hosts named in one query: SQLite takes 999 values in its older versions (SQLITE_MAX_VARIABLE_NUMBER)."""

_DOCUMENT: TypeAdapter[HostAudit] = TypeAdapter(HostAudit)


def default_url(cases: Path) -> str:
    """The history beside the cases, for whoever names no other."""
    return f"sqlite:///{(cases / '.history.sqlite').absolute()}"


class History:
    """The audits of all hosts so far. Use it as a context manager.

    Args:
        url: as SQLAlchemy writes it: `sqlite:////var/lib/hc/history.sqlite`, `postgresql+psycopg://db/hc`.

    Raises:
        MissingExtraError: SQLAlchemy, Alembic, or the driver that `url` names is not installed.
        ConfigError: `url` is none, or holds a password.
        StorageError: the database cannot be opened or brought up to date.
    """

    def __init__(self, url: str) -> None:
        self._engine, self._place = _engine(url)
        with self._storing():
            self._migrate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def record(self, audits: Sequence[HostAudit]) -> None:
        """Add these audits, all or none, and forget the oldest ones of their hosts.

        Raises:
            StorageError: the database did not take them.
        """
        from collector.fleet.tables import AUDITS

        rows = [
            {
                "host": one.host,
                "time": one.time,
                "level": str(one.level),
                "answered": one.answered,
                "document": _DOCUMENT.dump_json(one).decode(),
            }
            for one in audits
        ]
        if rows:
            with self._storing(), self._engine.begin() as connection:
                connection.execute(AUDITS.insert(), rows)
                connection.execute(_oldest_deleted())

    def last(self, hosts: Sequence[str]) -> dict[str, HostAudit]:
        """The newest audit of each host in which the host answered; hosts without one are left out.

        Raises:
            StorageError: the database cannot be read.
        """
        from sqlalchemy import select

        from collector.fleet.tables import AUDITS

        found: dict[str, HostAudit] = {}
        with self._storing(), self._engine.connect() as connection:
            for begin in range(0, len(hosts), _AT_ONCE):
                ranked = (
                    select(AUDITS.c.host, AUDITS.c.document, _rank())
                    .where(AUDITS.c.host.in_(hosts[begin : begin + _AT_ONCE]), AUDITS.c.answered)
                    .subquery()
                )
                newest = select(ranked.c.host, ranked.c.document).where(ranked.c.rank == 1)
                for host, document in connection.execute(newest):
                    found[host] = _DOCUMENT.validate_json(document)
        return found

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "collector.fleet:migrations")
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        """Say what the database said, and where; never with the values of a query."""
        from alembic.util import CommandError
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, CommandError, ValidationError) as error:
            cause = str(error.orig).strip() if isinstance(error, DBAPIError) else type(error).__name__
            raise StorageError(
                f"the history in {self._place} cannot be used: {cause}",
                hint="Check that it is there, yours to write, and not of a newer version of this program.",
            ) from error


def _rank(*also: ColumnElement[bool]) -> Label[int]:
    """1 for a host's newest audit, 2 for the one before it, and so on; counted apart by `also`."""
    from sqlalchemy import func

    from collector.fleet.tables import AUDITS

    newest_first = func.row_number().over(
        partition_by=[AUDITS.c.host, *also], order_by=[AUDITS.c.time.desc(), AUDITS.c.id.desc()]
    )
    return newest_first.label("rank")


def _oldest_deleted() -> Delete:
    from sqlalchemy import delete, select

    from collector.fleet.tables import AUDITS

    ranked = select(AUDITS.c.id, _rank(AUDITS.c.answered)).subquery()
    return delete(AUDITS).where(AUDITS.c.id.in_(select(ranked.c.id).where(ranked.c.rank > KEEP)))


def _engine(url: str) -> tuple[Engine, str]:
    """An engine that connects when it is first used, and its place without a secret."""
    try:
        import alembic  # noqa: F401 - a missing one should be told now, and not after the audit
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise MissingExtraError(
            "the history needs SQLAlchemy and Alembic, which are not installed",
            hint="pip install 'hang-collector[fleet]'",
        ) from error
    try:
        parsed = make_url(url)
        _refuse_password(parsed)
        _make_private(parsed)
        return create_engine(parsed, poolclass=NullPool), parsed.render_as_string(hide_password=True)
    except ArgumentError as error:
        raise ConfigError(
            "the history's URL is none that SQLAlchemy knows",
            hint="Write it like sqlite:////var/lib/hc/history.sqlite or postgresql+psycopg://db01/hc.",
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"the driver of the history's URL is not installed: {error.name}",
            hint="For PostgreSQL: pip install 'psycopg[binary]', and begin the URL with postgresql+psycopg://.",
        ) from error


def _refuse_password(url: URL) -> None:
    if url.password is not None:
        raise ConfigError(
            "the history's URL holds a password, which every user of this machine could see",
            hint="Leave it out, and put it into ~/.pgpass: libpq finds it there.",
        )


def _make_private(url: URL) -> None:
    """A new file of SQLite's is for its owner alone, as the cases beside it are."""
    from collector.case.storage import make_folder, open_private, storing

    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    with storing(path):
        make_folder(path.parent)
        os.close(open_private(path, os.O_RDWR | os.O_CREAT))
