"""The formats of `evaluator.export`: each written, loaded by its own runtime, and compared with our module."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluator import detection
from evaluator.deployed import Deployed, to_model
from evaluator.export import TOLERANCE, ExportError, Plan, Written
from evaluator.recipe import Recipe
from evaluator.weights import read, write
from space.module import Network, fold, initialise

Arrays = Sequence[Any]


def write_all(plan: Plan) -> list[Written]:
    """Write and check every format of `plan`."""
    with torch.inference_mode():
        work = _Work(plan)
        return [_WRITERS[name](work) for name in plan.formats]


class _Work:
    """The network with its weights, and the reference to compare with."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.graph, self.folder = plan, plan.graph, Path(plan.folder)
        self.network = initialise(Network(self.graph), plan.seed).eval()
        if plan.interface.anchors:  # scores apart from one another, as a training begins with
            detection.start(self.network, len(plan.interface.classes), Recipe.object_prior)
        if plan.weights is not None:
            self.network.load_state_dict(read(plan.weights, self.graph))
        self.folded = fold(self.network)
        shape = (plan.batch, *self.graph.nodes[0].shape)
        generator = torch.Generator().manual_seed(plan.seed)
        self.pixels = torch.randint(0, 256, shape, generator=generator).float()
        self.normal = (self.pixels - plan.interface.pixel_mean) * (1 / plan.interface.pixel_std)

    @property
    def image(self) -> Tensor:
        """A random picture as the exported model takes it."""
        return self.pixels if self.plan.normalise else self.normal

    def deployed(self, outputs: str) -> Deployed:
        """Our module between pixels and `outputs`."""
        return Deployed(self.folded, self.plan.interface, outputs, normalise=self.plan.normalise).eval()

    def compare(self, file: str, got: Arrays, wanted: Arrays) -> float:
        """The largest relative difference. Raises ExportError where it is too large."""
        worst = 0.0
        if len(got) != len(wanted):
            raise ExportError(f"{file} gives {len(got)} outputs, our module {len(wanted)}")
        for mine, other in zip(wanted, got, strict=True):
            a, b = np.asarray(mine, np.float64), np.asarray(other, np.float64)
            if a.shape != b.shape:
                raise ExportError(f"{file} gives an output of shape {b.shape}, our module {a.shape}")
            scale = max(float(np.abs(a).max(initial=0.0)), 1e-12)
            difference = float(np.abs(a - b).max(initial=0.0)) / scale
            if not difference <= TOLERANCE:  # NaN too
                raise ExportError(f"{file} differs from our module by {difference:.2g} of the largest output "
                                  f"({scale:.3g}); {TOLERANCE:g} are allowed: nothing was exported")  # fmt: skip
            worst = max(worst, difference)
        return worst

    def compare_detections(self, file: str, plain: Arrays, opened: Arrays) -> float:
        """Compare `plain`, what the file gives, by way of `opened`, which also says what goes into suppression.

        What goes in must be our module's, what comes out ours of the same input. Not ours of our module's: networks
        that agree to six digits may order two nearly equal boxes differently.
        """
        *found, boxes, scores = (np.array(array) for array in opened)
        worst = self.compare(file, (boxes, scores), self.deployed("decoded")(self.image))
        wanted = detection.suppress(torch.from_numpy(boxes), torch.from_numpy(scores), self.plan.interface)
        self.compare(file, [plain[1]], [found[1]])
        ours, theirs = (_in_order([np.asarray(array) for array in arrays]) for arrays in (wanted, found))
        return max(worst, self.compare(file, theirs, ours))


def _in_order(detections: Arrays) -> Arrays:
    """Boxes, scores and classes of all images that are no padding, in an order that equal scores do not change."""
    boxes, scores, classes = detections
    image, slot = np.nonzero(scores > 0)
    boxes, scores, classes = (array[image, slot] for array in (boxes, scores, classes))
    order = np.lexsort((boxes[:, 1], boxes[:, 0], classes, -scores.round(6), image))
    return [boxes[order], scores[order], classes[order], image[order]]


def _version(package: str) -> str:
    return f"{package} {metadata.version(package)}"


def _onnx(work: _Work) -> Written:
    plan, file = work.plan, "model.onnx"
    weights = {name: value.numpy() for name, value in work.folded.state_dict().items()}
    model = to_model(work.graph, weights, plan.interface, plan.outputs, normalise=plan.normalise, batch=plan.batch,
                     about=plan.about)  # fmt: skip
    (work.folder / file).write_bytes(model.SerializeToString())
    difference = check_onnx(work, file)
    return Written(format="onnx", files=(file,), runtime=_version("onnxruntime"), difference=difference)


def check_onnx(work: _Work, file: str) -> float:
    """Run the file as it lies there; of a model that suppresses, also look at what goes into that."""
    import onnx

    outputs = work.plan.outputs
    got = _run_onnx(str(work.folder / file), work.image)
    if outputs != "nms":
        return work.compare(file, got, work.deployed(outputs)(work.image))
    model = onnx.load(work.folder / file)
    for name in ("all_boxes", "all_scores"):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return work.compare_detections(file, got, _run_onnx(model.SerializeToString(), work.image))


def _run_onnx(model: str | bytes, image: Tensor) -> Arrays:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # more would leave the cores that this process was given
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: Arrays = session.run(None, {"image": image.numpy()})
    return found


def _openvino(work: _Work) -> Written:
    import openvino

    plan, file = work.plan, "model.xml"
    source = work.folder / ".model.onnx"
    weights = {name: value.numpy() for name, value in work.folded.state_dict().items()}
    model = to_model(work.graph, weights, plan.interface, plan.outputs, normalise=plan.normalise, batch=plan.batch)
    source.write_bytes(model.SerializeToString())
    try:
        converted = openvino.convert_model(source)
    finally:
        source.unlink()
    for key, value in plan.about.items():
        converted.set_rt_info(value if isinstance(value, str) else json.dumps(value), ["csp_explorer", key])
    openvino.save_model(converted, work.folder / file, compress_to_fp16=False)

    def run(ready: Any) -> Arrays:
        found = openvino.compile_model(ready, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(work.image.numpy())
        return [np.array(found[index]) for index in range(len(found))]

    core = openvino.Core()
    got = run(core.read_model(work.folder / file))
    if plan.outputs == "nms":
        more = core.read_model(work.folder / file)
        more.add_outputs(["all_boxes", "all_scores"])
        difference = work.compare_detections(file, got, run(more))
    else:
        difference = work.compare(file, got, work.deployed(plan.outputs)(work.image))
    return Written(format="openvino", files=(file, "model.bin"), runtime=_version("openvino"), difference=difference)


def _torchscript(work: _Work) -> Written:
    file, module = "model.torchscript", work.deployed(work.plan.outputs)
    path = str(work.folder / file)
    with warnings.catch_warnings():  # shapes are constants in it, and shall be
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, work.image, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.freeze(traced).save(path)
    loaded = torch.jit.load(path)  # type: ignore[no-untyped-call]
    difference = work.compare(file, loaded(work.image), module(work.image))
    return Written(format="torchscript", files=(file,), runtime=_version("torch"), difference=difference)


def _torch(work: _Work) -> Written:
    from space.torch_source import to_torch_source

    source, file = work.folder / "model.py", "weights.pt"
    source.write_text(to_torch_source(work.graph, name="Model"))
    torch.save(work.network.state_dict(), work.folder / file)
    found = importlib.util.spec_from_file_location("exported_model", source)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    network = module.Model().eval()
    network.load_state_dict(torch.load(work.folder / file, weights_only=True))
    difference = work.compare(file, _listed(network(work.normal)), work.network(work.normal))
    return Written(format="torch", files=("model.py", file), runtime=_version("torch"), difference=difference,
                   note="raw outputs; takes normalised pixels")  # fmt: skip


def _listed(found: Any) -> Arrays:
    return [found] if isinstance(found, Tensor) else list(found)


def _safetensors(work: _Work) -> Written:
    file = "weights.safetensors"
    write(work.folder / file, work.network.state_dict(), work.plan.about)
    network = Network(work.graph).eval()
    network.load_state_dict(read(work.folder / file, work.graph))
    difference = work.compare(file, network(work.normal), work.network(work.normal))
    return Written(format="safetensors", files=(file, "weights.json"), runtime=_version("safetensors"),
                   difference=difference, note="for `search.export --weights`, or any reader")  # fmt: skip


def _ncnn(work: _Work) -> Written:
    from evaluator.backends.ncnn import FILES, Net, own
    from evaluator.backends.ncnn import write as write_ncnn
    from space.ncnn import to_ncnn

    weights = {name: value.numpy() for name, value in work.folded.state_dict().items()}
    net = Net(write_ncnn(work.folder, to_ncnn(work.graph, weights)), threads=1)
    got = [np.array(mat)[None] for mat in net(own(work.normal.numpy()))]
    difference = work.compare(FILES[0], got, work.network(work.normal))
    return Written(format="ncnn", files=FILES, runtime=_version("ncnn"), difference=difference,
                   note="raw outputs; takes one image of normalised pixels")  # fmt: skip


def _darknet(work: _Work) -> Written:
    from space.darknet import parse
    from space.darknet import write as cfg
    from space.darknet.weights import from_bytes, to_bytes

    interface = work.plan.interface
    anchors = detection.spread(np.array(interface.anchors, np.int16), len(work.graph.outputs)) if interface.anchors \
        else np.zeros((0, 0, 2))  # fmt: skip
    pairs = [(float(w), float(h)) for level in anchors for w, h in level] or None
    made = cfg(work.graph, num_classes=len(interface.classes), anchors=pairs)
    (work.folder / "model.cfg").write_text(made.text)
    arrays = {name: value.numpy() for name, value in work.network.state_dict().items()}
    (work.folder / "model.weights").write_bytes(to_bytes(work.graph, arrays))
    graph = parse((work.folder / "model.cfg").read_text(), file="model.cfg").graph
    network = Network(graph).eval()
    loaded = from_bytes(graph, (work.folder / "model.weights").read_bytes())
    network.load_state_dict({name: torch.from_numpy(array) for name, array in loaded.items()}, strict=False)
    difference = work.compare("model.cfg", network(work.normal), work.network(work.normal))
    return Written(format="darknet", files=("model.cfg", "model.weights"), runtime="our reader of darknet files",
                   difference=difference, note="; ".join(made.notes))  # fmt: skip


_WRITERS: dict[str, Callable[[_Work], Written]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torchscript": _torchscript,
    "torch": _torch,
    "safetensors": _safetensors,
    "ncnn": _ncnn,
    "darknet": _darknet,
}
