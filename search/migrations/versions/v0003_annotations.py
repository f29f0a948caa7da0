"""What people add: notes, tags, pins, and the queue of architectures to be proposed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _architecture(*, key: bool = True) -> sa.Column[str]:
    reference = sa.ForeignKey("architectures.id")
    return sa.Column("architecture_id", sa.String(12), reference, primary_key=key, nullable=False)


def upgrade() -> None:
    op.create_table(
        "notes",
        _architecture(),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_table(
        "tags",
        _architecture(),
        sa.Column("tag", sa.String(40), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "pins",
        sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True),
        _architecture(),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "queue",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False),
        _architecture(key=False),
        sa.Column("proposed_id", sa.String(12), sa.ForeignKey("architectures.id")),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
    )
    op.create_index("ix_queue_study", "queue", ["study_id", "state"])
