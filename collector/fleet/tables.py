"""The history's tables, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

AUDITS = Table(
    "audits",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("host", String(100), nullable=False),  # the settings file allows no longer name
    Column("time", DateTime(timezone=True), nullable=False),  # UTC; SQLite has no zones
    Column("level", String(16), nullable=False),
    Column("answered", Boolean, nullable=False),
    Column("document", Text, nullable=False),  # the whole HostAudit as JSON
    Index("audits_newest", "host", "answered", "time"),
)
