"""Latency tables: what `evaluator.calibrate` fitted for a device, and what it was fitted on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "latency_tables",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("backend", sa.String(60), nullable=False),
        sa.Column("precision", sa.String(12), nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("environment_id", sa.String(12), sa.ForeignKey("environments.id")),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("ix_latency_tables_device", "latency_tables", ["device", "backend"])
