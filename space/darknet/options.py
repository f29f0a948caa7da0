"""What each section may say: options that we read, options that must be neutral, options that only train."""

from __future__ import annotations

import difflib

from space.darknet.syntax import Section, shown

READ: dict[str, tuple[str, ...]] = {
    "convolutional": ("batch_normalize", "cbn", "filters", "size", "stride", "pad", "padding", "groups", "activation"),
    "connected": ("output", "activation"),
    "maxpool": ("size", "stride", "padding", "maxpool_depth", "out_channels"),
    "local_avgpool": ("size", "stride", "padding"),
    "avgpool": (),
    "route": ("layers", "groups", "group_id"),
    "shortcut": ("from", "activation"),
    "sam": ("from", "activation"),
    "scale_channels": ("from", "activation"),
    "upsample": ("stride",),
    "batchnorm": (),
    "activation": ("activation",),
}
"""Options that make the graph. Sections that are not here (loss, boxes, dropout) are not checked."""

NEUTRAL: dict[str, dict[str, str]] = {
    "convolutional": {
        "dilation": "1", "antialiasing": "0", "binary": "0", "xnor": "0", "bin_output": "0", "reverse": "0",
        "sway": "0", "rotate": "0", "stretch": "0", "stretch_sway": "0", "coordconv": "0", "share_index": "none",
        "stride_x": "stride", "stride_y": "stride",
    },
    "connected": {"batch_normalize": "0"},
    "maxpool": {"antialiasing": "0", "maxpool_zero_nonmax": "0", "stride_x": "stride", "stride_y": "stride"},
    "local_avgpool": {"stride_x": "stride", "stride_y": "stride"},
    "shortcut": {"weights_type": "none", "weights_normalization": "none"},
    "upsample": {"scale": "1"},
    "scale_channels": {"scale_wh": "0"},
}  # fmt: skip
"""Options that change what is computed in a way the graph cannot say, and the value at which they do nothing."""

TRAINING = (
    "angle", "assisted_excitation", "burnin_update", "clip", "dont_update", "dontload", "dontloadscales",
    "dontsave", "dot", "flipped", "grad_centr", "learning_rate", "onlyforward", "param", "probability",
    "stopbackward", "stream", "train_only_bn", "wait_stream",
)  # fmt: skip
"""Options that change training or loading alone."""


def check_options(section: Section) -> list[str]:
    """Notes on options that nobody knows. Raises DarknetError for one that the graph cannot say."""
    if section.kind not in READ:
        return []
    neutral = NEUTRAL.get(section.kind, {})
    for key, wanted in neutral.items():
        if key not in section.options:
            continue
        value, allowed = section.options[key].value, wanted
        if wanted == "stride":
            allowed = section.options["stride"].value if "stride" in section.options else "1"
        if value != allowed and _number(value) != _number(allowed):
            fix = "remove it" if wanted == "none" else f"allowed: {key}={shown(allowed)}"
            raise section.error(f"{key}={shown(value)} changes what is computed and is not supported; {fix}", key)
    known = [*READ[section.kind], *neutral]
    notes = []
    for key, option in section.options.items():
        if key not in known and key not in TRAINING:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            notes.append(f"line {option.line}: [{section.kind}] has no option '{shown(key)}', it is ignored{hint}")
    return notes


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
