"""Where a training runs: on the processor, or on a card that several trainings share.

torch is imported inside: the driver of a search asks through a guarded process, and does without it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""One of these is there where a card is (NVIDIA, AMD, WSL): without, nobody waits for torch to say so."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What trainings run on, as it is kept beside their numbers."""

    kind: str
    """`cpu` or `cuda`."""
    name: str | None = None
    """The card's model."""
    count: int = 0
    """Cards; trainings spread over them."""
    precision: str = "fp32"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


CPU = Device(kind="cpu")


class DeviceError(ValueError):
    """A device that is not there; the message says what is."""


def find(name: str) -> Device:
    """The device that `auto`, `cpu` or `cuda` means here; `auto` is a card where there is one. Raises DeviceError."""
    if not needs_torch(name):
        return CPU
    import torch

    count = torch.cuda.device_count()
    if not count:
        if name == "auto":
            return CPU
        build = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no card"
        raise DeviceError(
            f"--device cuda: {build}; use --device cpu, or install a CUDA build of torch as the README says"
        )
    return Device(kind="cuda", name=torch.cuda.get_device_name(0), count=count,
                  precision="bf16" if torch.cuda.is_bf16_supported() else "fp32")  # fmt: skip


def needs_torch(name: str) -> bool:
    """Whether only torch can say what `auto`, `cpu` or `cuda` means here. Raises DeviceError for another name."""
    if name not in DEVICES:
        raise DeviceError(f"--device is '{name}'; it must be one of {', '.join(DEVICES)}")
    return name == "cuda" or (name == "auto" and any(Path(driver).exists() for driver in DRIVERS))


def select(kind: str) -> tuple[torch.device, bool]:
    """The torch device of this process, and whether convolutions run in bfloat16.

    Processes spread over the cards by their number.
    """
    import torch

    if kind == "cpu":
        return torch.device("cpu"), False
    found = find(kind)
    card = torch.device("cuda", os.getpid() % found.count)
    torch.cuda.set_device(card)
    return card, found.precision == "bf16"
