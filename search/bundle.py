"""python -m search.bundle: candidates as files, with the script that measures them on a device that is not here.

The zip holds `manifest.json`, `models/` (ONNX, and ncnn's own files) and `measure.py` (`search.bundled.measure`), which
needs nothing of ours. Every model carries sampled outputs of one fixed input, so that the device's runtime is checked
before it is timed. Weights are random from a seed: latency does not depend on them. `search.ingest` reads what comes
back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from search.bundled import measure
from search.command import UsageError, call, open_to_read, shown_database
from search.selection import check_choice, chosen, study_of

if TYPE_CHECKING:
    from evaluator.record import Deployment
    from search.store import StudyRow
    from space.graph import Graph

SEED = 0
"""Of the random weights, and of the fixed input."""
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2}
"""Largest difference of an output, as a share of its largest value: other processors sum in another order."""
IDENTITY = ("task", "space", "objectives", "limits", "sampler", "population", "image_visits", "keep", "deployment",
            "recipe", "recipe_id", "seed", "data", "start")  # fmt: skip
"""Keys of a study's config that say which study it is, wherever it was run and whatever it is called."""
CALIBRATION_NETWORKS, CALIBRATION_KERNELS = 60, 150
"""Graphs of a calibration elsewhere: fewer than on the host, as a small board is slow. Kernels make up for networks:
20 networks with 400 kernels predicted within 2.2 % (median), alone within 5.5 % (2026-11, ONNX Runtime)."""
SAME_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip, so that the same candidates give the same bytes."""

app = App(
    name="python -m search.bundle",
    help="Pack candidates for a device that is not here, with the script that measures them there.",
    version_flags=[],
)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One network to be measured elsewhere."""

    role: Literal["candidate", "calibration"]
    """A candidate of a study, or a graph that a latency table is fitted on."""
    id: str
    spec: Mapping[str, Any]
    """What it is, as plain data: a candidate's architecture, or `evaluator.calibration.Specimen.to_dict()`."""
    graph: Graph
    deployment: Deployment


@app.default
def run(
    *,
    db: str = "csp.db",
    name: str | None = None,
    top: int | None = None,
    front: Annotated[bool, Parameter(negative="")] = False,
    ids: Annotated[list[str] | None, Parameter(negative="")] = None,
    calibrate: Annotated[bool, Parameter(negative="")] = False,
    device: str | None = None,
    precision: Annotated[list[Literal["fp32", "fp16"]] | None, Parameter(negative="")] = None,
    output: Annotated[Path, Parameter(alias="-o")] = Path("bundle.zip"),
) -> int:
    """Pack candidates of a study.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that changed last.
    top
        Pack the first N candidates by non-domination rank, then crowding: the front, then the ranks behind it.
    front
        Pack the front of all objectives (what is done unless told otherwise).
    ids
        Pack these candidates: ids with commas between; may be repeated.
    calibrate
        Pack a calibration set too: what comes back gives the device a latency table, which predicts every network.
    device
        Card of the device (python -m evaluator.devices), or a .toml file: its profile says precision, threads and size.
    precision
        Arithmetic to measure in, fp32 or fp16 (TensorRT); may be repeated; the device's or the study's by default.
    output
        The zip to write.
    """
    check_choice(top, front, ids)
    _check_output(output)
    shown = shown_database(db)
    with open_to_read(db) as store:
        row = study_of(store, name)
        name_there, deployments = _deployments(row, device, precision)
        wanted = chosen(store.frame(row.name), row, top, ids, verb="bundle", done="bundled")
        found = [(identity, store.architecture(identity)) for identity in wanted]
    models = [model for identity, architecture in found if architecture is not None
              for model in candidate(identity, architecture.to_dict(), deployments)]  # fmt: skip
    if not models:
        raise UsageError(f"study '{row.name}' has no candidate with all of its objectives; choose some with --ids")
    if calibrate:
        models += calibration(row, models[0].spec["head"]["kind"], deployments)
    size = write(output, row, models, device=name_there)
    option = "" if name_there else " --device NAME"
    there = "" if db == "csp.db" else f" --db {shlex.quote(shown)}"
    packed = [model for model in models if model.role == "candidate"]
    more = f" and {len(models) - len(packed)} calibration graphs" if calibrate else ""
    print(
        f"{output}: {len(packed)} models{more} of '{row.name}', {size / 2**20:.1f} MiB\n"
        f"on the device, in an empty folder: python -m zipfile -e {output.name} . && python measure.py{option}\n"
        f"then back here: python -m search.ingest results.json{there}"
    )
    return 0


def identity_of(row: StudyRow) -> str:
    """64 hex digits that tell a study from others, the same in every database that holds it."""
    return measure.checksum({key: row.config[key] for key in IDENTITY if key in row.config})


def _deployments(row: StudyRow, device: str | None,
                 precisions: Sequence[str] | None) -> tuple[str | None, list[Deployment]]:  # fmt: skip
    """The device's name, if one is given, and the deployments to measure there. Raises UsageError, CardError."""
    from evaluator.devices import card
    from evaluator.record import Deployment
    from evaluator.target import HOST, target

    deployment = Deployment(**row.config["deployment"])
    name = None
    if device == HOST:
        raise UsageError("--device host is this machine, and a bundle is for another one")
    if device is not None:
        found = card(device)
        name = found.name
        deployment = target(name, deployment, found.profile).deployment
    wanted = list(dict.fromkeys(precisions or [deployment.precision]))
    for precision in wanted:
        if precision not in TOLERANCE:
            raise UsageError(f"a bundle cannot measure in {precision}; give --precision {' or '.join(TOLERANCE)}")
    return name, [replace(deployment, precision=precision) for precision in wanted]


def candidate(identity: str, spec: Mapping[str, Any], deployments: Sequence[Deployment]) -> list[Model]:
    """A candidate at deployments of one size, a model each."""
    from space.architecture import Architecture
    from space.lower import lower

    size = deployments[0]
    graph = lower(Architecture.from_dict(dict(spec)), size.height, size.width, num_classes=size.num_classes)
    return [Model(role="candidate", id=identity, spec=spec, graph=graph, deployment=deployment)
            for deployment in deployments]  # fmt: skip


def calibration(row: StudyRow, head: str, deployments: Sequence[Deployment]) -> list[Model]:
    """Networks and kernels of the study's space that a latency table is fitted on, at each deployment."""
    from evaluator.calibration import calibration_set
    from evaluator.record import digest
    from space.design import DesignSpace

    space = DesignSpace.from_dict(row.config["space"], head=head)
    specimens = calibration_set(space, deployments[0], seed=SEED, networks=CALIBRATION_NETWORKS,
                                num_kernels=CALIBRATION_KERNELS)  # fmt: skip
    return [Model(role="calibration", id=digest(specimen.to_dict()), spec=specimen.to_dict(),
                  graph=specimen.graph(deployment), deployment=deployment)
            for specimen in specimens for deployment in deployments]  # fmt: skip


def write(path: Path, row: StudyRow, models: Sequence[Model], *, device: str | None = None) -> int:
    """Write a bundle of `models`, whole or not at all; returns its bytes. `device` is what it is called there.

    Whatever the models are: the manifest keeps the `role` and `spec` of each, and `search.ingest` reads them by role.
    Raises OSError where the file cannot be written.
    """
    files: dict[str, bytes] = {"measure.py": Path(measure.__file__).read_bytes()}
    entries: list[dict[str, Any]] = []
    known: dict[tuple[str, int], dict[str, Any]] = {}
    for model in models:
        key = (model.id, model.deployment.batch)
        if key not in known:
            onnx, *ncnn = made = exported(model)
            files |= made
            shape = [model.deployment.batch, *model.graph.nodes[0].shape]
            known[key] = {**_listed(made, onnx), "input": shape,
                          "reference": {"seed": SEED, "outputs": reference(made[onnx], shape)}}  # fmt: skip
            if ncnn:
                known[key]["ncnn"] = [_listed(made, name) for name in ncnn]
        entries.append(_entry(model, known[key]))
    manifest: dict[str, Any] = {
        "format": measure.FORMAT,
        "kind": measure.BUNDLE,
        "study": {"name": row.name, "identity": identity_of(row)},
        "device": device,
        "threads": models[0].deployment.threads,
        "weights": {"seed": SEED},
        "models": entries,
    }
    manifest["digest"] = measure.checksum(manifest)
    files["manifest.json"] = json.dumps(manifest, indent=1).encode()
    return _zip(path, files)


def exported(model: Model) -> dict[str, bytes]:
    """A model's files by their names in the bundle: its ONNX file, then ncnn's two where it has no batch."""
    from space.ncnn import to_ncnn
    from space.onnx import to_onnx

    weights, path = coarse_weights(model.graph), f"models/{model.id}"
    files = {f"{path}.onnx": to_onnx(model.graph, weights, batch=model.deployment.batch).SerializeToString()}
    if model.deployment.batch == 1:
        text, binary = to_ncnn(model.graph, weights)
        files |= {f"{path}.param": text.encode(), f"{path}.bin": binary}
    return files


def _listed(files: Mapping[str, bytes], name: str) -> dict[str, str]:
    return {"file": name, "sha256": hashlib.sha256(files[name]).hexdigest()}


def coarse_weights(graph: Graph) -> dict[str, Any]:
    """Random weights of few different values: a zip holds them in a sixth of the room, and they cost the same time."""
    import numpy as np

    from space.onnx import random_weights

    found = random_weights(graph, SEED)
    steps = {name: np.float32(np.abs(values).max() / 8 or 1) for name, values in found.items()}
    return {name: np.round(values / steps[name]) * steps[name] for name, values in found.items()}


def _entry(model: Model, shared: Mapping[str, Any]) -> dict[str, Any]:
    precision = model.deployment.precision
    return {"role": model.role, "id": model.id, "spec": dict(model.spec), **shared,
            "deployment": model.deployment.to_dict(),
            "reference": {**shared["reference"], "tolerance": TOLERANCE[precision]}}  # fmt: skip


def reference(model: bytes, shape: Sequence[int]) -> list[dict[str, Any]]:
    """Sampled outputs of a model on the fixed input, by ONNX Runtime here."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image = np.asarray(measure.image_values(shape, SEED), dtype=np.float32).reshape(shape)
    return [measure.sample(values) for values in session.run(None, {"image": image})]


def _check_output(path: Path) -> None:
    """Raise UsageError where a zip would take the place of something else: a database, a folder, a device file."""
    if path.exists() and not (path.is_file() and (zipfile.is_zipfile(path) or not path.stat().st_size)):
        raise UsageError(f"--output '{path}' is there already and is no zip; name another file")


def _zip(path: Path, files: Mapping[str, bytes]) -> int:
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                info = zipfile.ZipInfo(name, SAME_TIME)
                info.external_attr = 0o644 << 16  # without it unzip makes files that nobody may read
                archive.writestr(info, files[name], zipfile.ZIP_DEFLATED)
        scratch.replace(path)
    except OSError as error:
        raise UsageError(f"--output '{path}' cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    return path.stat().st_size


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
