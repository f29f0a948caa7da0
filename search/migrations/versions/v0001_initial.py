"""Initial tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _time(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Float, nullable=nullable)


def _architecture() -> sa.Column[Any]:
    key = sa.ForeignKey("architectures.id")
    return sa.Column("architecture_id", sa.String(12), key, nullable=False)


def _environment() -> sa.Column[Any]:
    return sa.Column("environment_id", sa.String(12), sa.ForeignKey("environments.id"))


def upgrade() -> None:
    op.create_table(
        "architectures",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("spec", sa.JSON, nullable=False),
        _time("created_at"),
    )
    op.create_table(
        "environments",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("timing", sa.JSON),
        _time("created_at"),
        _time("updated_at"),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        _architecture(),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("genes", sa.JSON, nullable=False),
        sa.Column("sampler", sa.JSON, nullable=False),
        _time("created_at"),
        _time("finished_at", nullable=True),
        sa.UniqueConstraint("study_id", "number"),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True),
        _architecture(),
        sa.Column("task", sa.String(200), nullable=False),
        sa.Column("recipe", sa.String(12), nullable=False),
        sa.Column("rung", sa.Integer, nullable=False),
        sa.Column("image_visits", sa.Integer, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        sa.Column("curve", sa.JSON, nullable=False),
        _environment(),
        _time("created_at"),
    )
    op.create_index("ix_evaluations_architecture", "evaluations", ["architecture_id", "task", "recipe"])
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer, primary_key=True),
        _architecture(),
        sa.Column("evaluation_id", sa.Integer, sa.ForeignKey("evaluations.id")),
        sa.Column("metric", sa.String(60), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("unit", sa.String(20), nullable=False),
        sa.Column("origin", sa.String(12), nullable=False),
        sa.Column("spread", sa.Float),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("task", sa.String(200)),
        sa.Column("recipe", sa.String(12)),
        sa.Column("rung", sa.Integer),
        sa.Column("image_visits", sa.Integer),
        sa.Column("seed", sa.Integer),
        sa.Column("device", sa.String(200)),
        sa.Column("backend", sa.String(60)),
        sa.Column("deployment", sa.String(12)),
        sa.Column("batch", sa.Integer),
        sa.Column("precision", sa.String(12)),
        sa.Column("threads", sa.Integer),
        sa.Column("detail", sa.JSON, nullable=False),
        _environment(),
        _time("created_at"),
    )
    op.create_index("ix_measurements_architecture_metric", "measurements", ["architecture_id", "metric"])
