"""What the model card of an export says, gathered from the store, the graph and the weights: plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluator.export import TOLERANCE
from evaluator.interface import OUTPUTS
from evaluator.metrics import METRICS
from evaluator.record import environment
from search import card

if TYPE_CHECKING:
    from evaluator.export import Plan, Written
    from search.find import Found
    from search.store import Store
    from search.weights import Weights


def facts(store: Store | None, found: Found | None, weights: Weights | None, plan: Plan | None,
          written: list[Written], command: str) -> dict[str, Any]:  # fmt: skip
    """The card's facts; `search.card` lays them out, and they are kept as `card.json`."""
    from search.frame import axes
    from space.cost import cost

    here = environment()
    made: dict[str, Any] = {
        "title": found.title if found else "A study for Optuna", "words": "", "limits": [], "files": [], "use": [],
        "costs": [], "axes": [], "weights": [], "measurements": [], "tolerance": TOLERANCE, "commands": [command],
        "environment": {"machine": here.host, "system": here.system, "python": here.python, **here.versions},
        "size": "", "num_classes": 0,
    }  # fmt: skip
    if found is None or plan is None:
        return made
    counted = cost(plan.graph)
    made |= {
        "id": found.architecture.id,
        "architecture": found.architecture.canonical().to_dict(),
        "words": found.architecture.words(),
        "limits": limits(store, found, weights, plan),
        "files": [{**vars(one), "files": list(one.files),
                   "check": f"loaded by {one.runtime}, largest difference {one.difference:.1e}"} for one in written],
        "use": use(plan) if written else [],
        "size": f"{plan.height}x{plan.width}",
        "num_classes": len(plan.interface.classes),
        "costs": [[name, METRICS[name].show(getattr(counted, name)), METRICS[name].meaning]
                  for name in ("macs", "params", "activations", "cio", "peak_bytes", "weight_bytes")],
        "axes": [[name.replace("_", " "), str(value)]
                 for name, value in axes(found.architecture.to_dict()).items() if value is not None],
        "interface": plan.interface.to_dict(),
    }  # fmt: skip
    if weights is not None:
        made["commands"] = [*([str(weights.about["command"])] if weights.about and "command" in weights.about else []),
                            command]  # fmt: skip
        made["weights"] = card.weights_table(weights.kind, weights.about, weights.score, weights.note, weights.seed)
    if store is not None and found.row is not None:
        made["measurements"] = card.measured(store.measurements(found.architecture.id))
        made["study"] = {"name": found.row.name, "seed": found.row.seed}
    return made


def limits(store: Store | None, found: Found, weights: Weights | None, plan: Plan) -> list[str]:
    """What a user must know before he relies on it."""
    from search.verification import statement

    said = []
    if weights is not None:
        said.append(f"Its weights are {card.WEIGHTS[weights.kind]}.")
        size = plan.interface.size
        if weights.path is not None and (plan.height, plan.width) != (size, size):
            said.append(f"They were trained on pictures of {size}x{size} and this is {plan.height}x{plan.width}: no "
                        "score is known at that size; objects of another size in pixels may be missed.")  # fmt: skip
    if store is not None and found.row is not None:
        score = found.row.config["objectives"][0]["metric"]
        frame = store.frame(found.row.name)
        line = statement(frame[frame["id"] == found.architecture.id].iloc[0], score)
        said.append(f"As a candidate of study '{found.row.name}' it is {line}.")
        said.append("Scores of the search are of its own small pictures: they rank candidates and promise nothing of "
                    "another task.")  # fmt: skip
    else:
        said.append("It is no candidate of a study: nothing of it was measured here.")
    return said


def use(plan: Plan) -> list[str]:
    """Inputs and outputs in words."""
    interface = plan.interface
    normal = f"(value − {interface.pixel_mean:g}) / {interface.pixel_std:g} of a pixel value from 0 to 255"
    takes = "RGB pixels from 0 to 255" if plan.normalise else f"RGB, {normal}"
    classes = ", ".join(interface.classes[:80]) + (", …" if len(interface.classes) > 80 else "")
    lines = [f"onnx, openvino and torchscript take `image` [{plan.batch}, 3, {plan.height}, {plan.width}] float32: "
             f"{takes}; they give {OUTPUTS[plan.outputs]}.",
             f"ncnn, torch, safetensors and darknet hold the network alone: it takes {normal} and gives "
             f"{OUTPUTS['raw']}.",
             f"Classes: {classes}."]  # fmt: skip
    if interface.anchors:
        levels = "; ".join(", ".join(f"{w}x{h}" for w, h in level) for level in interface.anchors)
        lines.append(f"Anchors in pixels, finest level first: {levels}. Suppression: the best {interface.candidates} "
                     f"boxes, IoU {interface.nms_iou:g} within a class, {interface.detections} kept.")  # fmt: skip
    return lines
