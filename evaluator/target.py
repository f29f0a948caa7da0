"""Where a network is to run: a device, a runtime on it, and the deployment. Standard library only.

In studies and on command lines a target is written `DEVICE`, `DEVICE/BACKEND` or `DEVICE/BACKEND/PRECISION`, and a
metric on it `latency_ms@pi5`. `host` is this machine. What is left out comes from the profile of the device's card
(`evaluator.devices`), or else from the study's own deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evaluator.record import Deployment, environment

HOST = "host"
DEFAULT_BACKEND = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place for a network to run. Measurements of it agree in `device`, `backend` and `deployment.id`."""

    device: str
    """As measurements name it: `Environment.host` of this machine, else the name of a card or of ingested results."""
    backend: str
    deployment: Deployment

    def __str__(self) -> str:
        return f"{self.device}/{self.backend}/{self.deployment.precision}"


def target(text: str, deployment: Deployment, profile: Mapping[str, Any] | None = None, *,
           backend: str = DEFAULT_BACKEND) -> Target:  # fmt: skip
    """The target that `text` names. `profile` is what the device's card says of backend, precision, threads, batch,
    height and width; `deployment` and `backend` say the rest. Raises ValueError for text of another form.
    """
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise ValueError(f"target '{text}' is not of the form 'pi5', 'pi5/onnxruntime' or 'pi5/onnxruntime/int8'")
    found = {**(profile or {}), **dict(zip(("backend", "precision"), parts[1:]))}
    backend = str(found.pop("backend", backend))
    known = {key: value for key, value in found.items() if key in ("height", "width", "batch", "precision", "threads")}
    device = environment().host if parts[0] == HOST else parts[0]
    return Target(device=device, backend=backend, deployment=replace(deployment, **known))
