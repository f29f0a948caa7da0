"""Tables of the store. A new metric, device, task or axis is rows, not a migration.

Facts (architectures, environments, evaluations, measurements) are keyed by architecture, so studies share
them; a proposal ties an architecture to a study. Times are UTC seconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION_TABLE = "csp_explorer_version"
"""Alembic's version table of ours, so that other tools' tables may live in the same database."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

architectures = Table(
    "architectures",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("spec", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
)

environments = Table(
    "environments",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("data", JSON, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("config", JSON, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("state", String(20), nullable=False),  # running, interrupted, complete, stopped
    Column("message", Text),
    Column("timing", JSON),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey("studies.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("architecture_id", String(12), ForeignKey("architectures.id"), nullable=False),
    Column("state", String(20), nullable=False),  # proposed, refused, failed, stopped, complete
    Column("reason", Text),
    Column("genes", JSON, nullable=False),
    Column("sampler", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    UniqueConstraint("study_id", "number"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("architecture_id", String(12), ForeignKey("architectures.id"), nullable=False),
    Column("task", String(200), nullable=False),
    Column("recipe", String(12), nullable=False),
    Column("rung", Integer, nullable=False),
    Column("image_visits", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("state", String(20), nullable=False),  # complete, failed
    Column("reason", Text),
    Column("seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("curve", JSON, nullable=False),
    Column("environment_id", String(12), ForeignKey("environments.id")),
    Column("created_at", Float, nullable=False),
    Index("ix_evaluations_architecture", "architecture_id", "task", "recipe"),
)

measurements = Table(
    "measurements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("architecture_id", String(12), ForeignKey("architectures.id"), nullable=False),
    Column("evaluation_id", Integer, ForeignKey("evaluations.id")),
    Column("metric", String(60), nullable=False),
    Column("value", Float),
    Column("unit", String(20), nullable=False),
    Column("origin", String(12), nullable=False),  # counted, measured, predicted, published
    Column("spread", Float),
    Column("n", Integer, nullable=False),
    Column("reason", Text),
    Column("task", String(200)),
    Column("recipe", String(12)),
    Column("rung", Integer),
    Column("image_visits", Integer),
    Column("seed", Integer),
    Column("device", String(200)),
    Column("backend", String(60)),
    Column("deployment", String(12)),
    Column("batch", Integer),
    Column("precision", String(12)),
    Column("threads", Integer),
    Column("detail", JSON, nullable=False),
    Column("environment_id", String(12), ForeignKey("environments.id")),
    Column("created_at", Float, nullable=False),
    Index("ix_measurements_architecture_metric", "architecture_id", "metric"),
)

latency_tables = Table(
    "latency_tables",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String(200), nullable=False),
    Column("backend", String(60), nullable=False),
    Column("precision", String(12), nullable=False),
    Column("batch", Integer, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("data", JSON, nullable=False),  # kernels, fit, correction, report
    Column("environment_id", String(12), ForeignKey("environments.id")),
    Column("created_at", Float, nullable=False),
    Index("ix_latency_tables_device", "device", "backend"),
)

notes = Table(
    "notes",
    metadata,
    Column("architecture_id", String(12), ForeignKey("architectures.id"), primary_key=True),
    Column("text", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
)

tags = Table(
    "tags",
    metadata,
    Column("architecture_id", String(12), ForeignKey("architectures.id"), primary_key=True),
    Column("tag", String(40), primary_key=True),
    Column("created_at", Float, nullable=False),
)

pins = Table(
    "pins",
    metadata,
    Column("study_id", Integer, ForeignKey("studies.id"), primary_key=True),
    Column("architecture_id", String(12), ForeignKey("architectures.id"), primary_key=True),
    Column("created_at", Float, nullable=False),
)

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey("studies.id"), nullable=False),
    Column("architecture_id", String(12), ForeignKey("architectures.id"), nullable=False),  # as it was asked for
    Column("proposed_id", String(12), ForeignKey("architectures.id")),  # the nearest one of the study's space
    Column("state", String(20), nullable=False),  # waiting, proposed, known, impossible
    Column("reason", Text),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index("ix_queue_study", "study_id", "state"),
)
