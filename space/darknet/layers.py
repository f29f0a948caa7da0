"""What each section adds to a graph, in darknet's semantics. One function a kind: (state, section) -> `View`.

A layer reads the one before it and those that `layers=` or `from=` name: an index from the first layer if it is not
negative, else counted back from the layer itself. A slice stays a view until a layer reads it, so that neighbouring
pieces of one map, which is how the writer says a share that is not one of G, become one slice again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from space.darknet.options import check_options
from space.darknet.syntax import EXTENSIONS, Section
from space.graph import Builder, Ref
from space.ops import GlobalPool, Shape

MAX_SIDE = 65_536
"""Largest height, width, kernel and stride."""
MAX_FILTERS = 1_048_576
"""Most channels."""
DETECTORS = {"yolo": 5, "Gaussian_yolo": 9}
"""Sections of boxes, and the numbers of a box besides its classes."""


class View(NamedTuple):
    """Channels `start` to `stop` of a value of the graph."""

    ref: Ref
    start: int
    stop: int


class State:
    """The graph so far, and what each layer makes."""

    def __init__(self, layers: list[Section], shape: Shape) -> None:
        self.g = Builder(shape, activation="relu")
        self.layers = layers
        self.values: list[View] = []
        self.ends: set[int] = set()
        """Layers whose output is for the loss or the boxes alone."""
        self.outputs: list[Ref] = []
        self.notes: list[str] = []
        self.sources: list[tuple[int, ...]] = []
        self._slices: dict[View, Ref] = {}

    @property
    def index(self) -> int:
        """Index of the layer that is being read."""
        return len(self.values)

    def add(self, section: Section) -> None:
        """Add the next layer. Raises DarknetError or ArchitectureError where it cannot be."""
        self.notes += check_options(section)
        if "activation" in section.options and section.options["activation"].value in EXTENSIONS:
            self.note(section, "activation=hard_swish is an extension of CSP Explorer; darknet does not know it")
        self.sources.append(())
        with self.g.scope(f"layer{self.index}"):
            self.values.append(LAYERS[section.kind](self, section))

    def note(self, section: Section, text: str) -> None:
        """Tell the user something, once."""
        line = f"line {section.line}: [{section.kind}] {text}"
        if not any(note.endswith(text) for note in self.notes):
            self.notes.append(line)

    def whole(self, ref: Ref) -> View:
        """All channels of a value."""
        return View(ref, 0, self.g.channels(ref))

    def shape(self, index: int) -> Shape:
        """Shape of what layer `index` makes; of the image for -1."""
        if index < 0:
            return self.g.shape(0)
        ref, start, stop = self.values[index]
        return (stop - start, *self.g.shape(ref)[1:])

    def view(self, section: Section, index: int) -> View:
        """What layer `index` makes, the image for -1."""
        if index in self.ends:
            raise section.error(f"reads layer {index}, a [{self.layers[index].kind}], which ends its branch; "
                                "read a layer before it with [route]")  # fmt: skip
        return self.whole(0) if index < 0 else self.values[index]

    def ref(self, view: View) -> Ref:
        """The node of a view; a slice is added to the graph when it is first read."""
        if view not in self._slices:
            self._slices[view] = self.g.slice(*view, name="slice")
        return self._slices[view]

    def previous(self, section: Section) -> Ref:
        """The node of the layer before this one."""
        return self.ref(self.view(section, self.index - 1))

    def named(self, section: Section, key: str, *, single: bool = False) -> list[View]:
        """What the layers named by option `key` make."""
        indices = []
        for given in section.integers(key):
            index = given if given >= 0 else self.index + given
            if not 0 <= index < self.index:
                allowed = f"0 to {self.index - 1}, or -{self.index} to -1" if self.index else "none, it is the first"
                raise section.error(f"{key}={given} of layer {self.index} is no earlier layer; allowed: {allowed}", key)
            indices.append(index)
        if single and len(indices) > 1:
            raise section.error(f"{key}= names {len(indices)} layers; allowed: one", key)
        self.sources[-1] = tuple(indices)
        return [self.view(section, index) for index in indices]

    def activated(self, section: Section, ref: Ref) -> View:
        """`ref` after the section's activation, linear by default."""
        activation = section.activation("linear")
        return self.whole(ref if activation is None else self.g.act(ref, activation=activation))


def _convolutional(state: State, section: Section) -> View:
    x, (c, _, _) = state.previous(section), state.shape(state.index - 1)
    filters = section.integer("filters", None, 1, MAX_FILTERS)
    size, stride = section.integer("size", 1, 1, MAX_SIDE), section.integer("stride", 1, 1, MAX_SIDE)
    groups = section.integer("groups", 1, 1, MAX_FILTERS)
    padding = section.integer("padding", 0, 0, MAX_SIDE)
    if section.integer("pad", 0, 0, MAX_SIDE):
        padding = size // 2
    norm = any(section.integer(key, 0, 0, 2) for key in ("batch_normalize", "cbn"))
    activation = section.activation("logistic")
    if c % groups or filters % groups:
        raise section.error(f"groups={groups} do not divide {c} -> {filters} channels; allowed: a common divisor",
                            "groups")  # fmt: skip
    if (size, stride, groups, norm, activation) == (1, 1, 1, False, None) and _is_classifier(state, x):
        return state.whole(state.g.linear(x, filters, name="fc"))
    return state.whole(state.g.conv(x, filters, size, name="conv", stride=stride, groups=groups, norm=norm,
                                    linear=activation is None, activation=activation, padding=padding))  # fmt: skip


def _is_classifier(state: State, x: Ref) -> bool:
    """Whether a 1x1 convolution of `x` is the layer between the global average pool and [softmax]."""
    following = (section.kind for section in state.layers[state.index + 1 :] if section.kind != "dropout")
    return isinstance(state.g.graph([x]).nodes[x].op, GlobalPool) and next(following, None) == "softmax"


def _connected(state: State, section: Section) -> View:
    ref = state.g.linear(state.previous(section), section.integer("output", None, 1, MAX_FILTERS), name="fc")
    activation = section.activation("logistic")
    return state.whole(ref if activation is None else state.g.act(ref, activation=activation))


def _pool(state: State, section: Section) -> View:
    x = state.previous(section)
    if section.integer("maxpool_depth", 0, 0, 1):
        channels, out = state.g.channels(x), section.integer("out_channels", 1, 1, MAX_FILTERS)
        if channels % out:
            raise section.error(f"out_channels={out} does not divide {channels} channels; allowed: a divisor",
                                "out_channels")  # fmt: skip
        return state.whole(state.g.maxout(x, channels // out))
    stride = section.integer("stride", 1, 1, MAX_SIDE)
    size = section.integer("size", stride, 1, MAX_SIDE)
    if section.integer("padding", size - 1, 0, MAX_SIDE) != size - 1:
        raise section.error(f"padding={section.options['padding'].value} is not supported; allowed: size - 1 = "
                            f"{size - 1}, darknet's default", "padding")  # fmt: skip
    if size == 1:
        return state.whole(x if stride == 1 else state.g.stride(x, stride))
    pool = state.g.max_pool if section.kind == "maxpool" else state.g.avg_pool
    return state.whole(pool(x, size, stride=stride))


def _avgpool(state: State, section: Section) -> View:
    return state.whole(state.g.global_pool(state.previous(section)))


def _route(state: State, section: Section) -> View:
    views = state.named(section, "layers")
    groups = section.integer("groups", 1, 1, MAX_FILTERS)
    group = section.integer("group_id", 0, 0, groups - 1)
    sizes = {state.g.shape(view.ref)[1:] for view in views}
    if len(sizes) > 1:
        text = ", ".join(f"{h}x{w}" for h, w in sorted(sizes))
        raise section.error(f"joins maps of {text}; allowed: one height and width", "layers")
    pieces: list[View] = []
    for ref, start, stop in views:
        width = (stop - start) // groups
        if (stop - start) % groups:
            raise section.error(f"groups={groups} do not divide {stop - start} channels; allowed: a divisor", "groups")
        piece = View(ref, start + group * width, start + (group + 1) * width)
        if pieces and (pieces[-1].ref, pieces[-1].stop) == (ref, piece.start):
            piece = View(ref, pieces.pop().start, piece.stop)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else state.whole(state.g.concat([state.ref(piece) for piece in pieces]))


def _shortcut(state: State, section: Section) -> View:
    x = state.previous(section)
    for number, view in enumerate(state.named(section, "from"), 1):
        (_, height, width), (_, h, w) = state.g.shape(x), state.g.shape(view.ref)
        if h % height or w % width:
            state.note(section, f"reads a map of {h}x{w} at {height}x{width}: darknet has no stride for that and would "
                                "add a corner; take a resolution divisible by 32")  # fmt: skip
        x = state.g.add(x, state.ref(view), name=f"add{number}")
    return state.activated(section, x)


def _sam(state: State, section: Section) -> View:
    gate, (view,) = state.previous(section), state.named(section, "from", single=True)
    x = state.ref(view)
    if state.g.shape(x) != state.g.shape(gate):
        raise section.error(f"multiplies maps of {state.g.shape(x)} and {state.g.shape(gate)}; allowed: equal ones",
                            "from")  # fmt: skip
    return state.activated(section, state.g.mul(x, gate))


def _scale_channels(state: State, section: Section) -> View:
    gate, (view,) = state.previous(section), state.named(section, "from", single=True)
    x = state.ref(view)
    wanted = (state.g.channels(x), 1, 1)
    if state.g.shape(gate) != wanted:
        raise section.error(f"scales a map of {state.g.shape(x)} by one of {state.g.shape(gate)}; allowed: {wanted}, "
                            "as [avgpool] and 1x1 convolutions make it", "from")  # fmt: skip
    return state.activated(section, state.g.mul(x, gate))


def _upsample(state: State, section: Section) -> View:
    x, stride = state.previous(section), section.integer("stride", 2, 1, MAX_SIDE)
    _, h, w = state.g.shape(x)
    if stride == 1:
        return state.whole(x)
    return state.whole(state.g.resize(x, h * stride, w * stride, name="up"))


def _batchnorm(state: State, section: Section) -> View:
    return state.whole(state.g.norm(state.previous(section), linear=True))


def _activation(state: State, section: Section) -> View:
    return state.activated(section, state.previous(section))


def _pass(state: State, section: Section) -> View:
    """[dropout] and [cost], which do nothing at inference."""
    if state.index - 1 in state.ends:
        state.ends.add(state.index)
        return state.values[-1]
    return state.view(section, state.index - 1)


def _end(state: State, section: Section) -> View:
    x = state.previous(section)
    channels = state.g.channels(x)
    if section.kind in DETECTORS:
        num = section.integer("num", 1, 1, MAX_FILTERS)
        masks = section.integers("mask") if "mask" in section.options else list(range(num))
        if not all(0 <= mask < num for mask in masks):
            raise section.error(f"mask={max(masks, key=abs)} is none of num={num} anchors; allowed: 0 to {num - 1}",
                                "mask")  # fmt: skip
        per_box = DETECTORS[section.kind] + section.integer("classes", 20, 0, MAX_FILTERS)
        if len(masks) * per_box != channels:
            raise section.error(f"reads {channels} channels, but {len(masks)} masks x {per_box} numbers of a box are "
                                f"{len(masks) * per_box}; set filters={len(masks) * per_box} in the layer before it, "
                                "or change mask= or classes=")  # fmt: skip
    if x not in state.outputs:
        state.outputs.append(x)
    state.ends.add(state.index)
    return state.whole(x)


LAYERS: dict[str, Callable[[State, Section], View]] = {
    "convolutional": _convolutional,
    "connected": _connected,
    "maxpool": _pool,
    "local_avgpool": _pool,
    "avgpool": _avgpool,
    "route": _route,
    "shortcut": _shortcut,
    "sam": _sam,
    "scale_channels": _scale_channels,
    "upsample": _upsample,
    "batchnorm": _batchnorm,
    "activation": _activation,
    "dropout": _pass,
    "cost": _pass,
    "softmax": _end,
    "yolo": _end,
    "Gaussian_yolo": _end,
    "region": _end,
    "detection": _end,
}
