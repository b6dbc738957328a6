"""The first table: every audit of every host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "audits"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audits",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host", sa.String(100), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("audits_newest", "audits", ["host", "answered", "time"])


def downgrade() -> None:
    """Remove it, and all history with it."""
    op.drop_table("audits")
