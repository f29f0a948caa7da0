"""The rules of the house: who may import whom, what the docs must name, no path of a machine in the project."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.metrics import METRICS, metric

ROOT = Path(__file__).parents[1]
PACKAGES = ("space", "evaluator", "search", "dashboard")
READERS = tuple(f"search.{name}" for name in (
    "agreement", "annotations", "answer", "budgets", "choice", "columns", "database", "devices", "frame", "importance",
    "latencies", "pareto", "schema", "shortlist", "store", "verification",
))  # fmt: skip
"""What reads the memory: light, and so what the dashboard may import."""
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules that a file imports anywhere, `from a import b` as both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] in PACKAGES}


def within(names: set[str], *allowed: str) -> set[str]:
    return {n for n in names if not any(n == a or n.startswith(f"{a}.") for a in allowed)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_rules_of_the_design(path):
    package, module = path.relative_to(ROOT).parts[0], ".".join(path.relative_to(ROOT).with_suffix("").parts)
    facts = ("space", "evaluator.record", "evaluator.metrics", "evaluator")
    light = ("evaluator.target", "evaluator.devices", "evaluator.latency_table", "evaluator.roofline",
             "evaluator.backends")  # fmt: skip
    if package == "space":
        assert not within(ours(path), "space")
    elif package == "evaluator":
        # Its command stores what it measured; everything else of the evaluator knows no store.
        command = ("search",) if module == "evaluator.calibrate" else ()
        assert not within(ours(path), "space", "evaluator", *command)
    elif module in READERS:
        assert not within(ours(path), *facts[:3], *light, *READERS, "search.migrations", "search.seeds") - {
            "search",
            "evaluator",
        }
    elif package == "dashboard":
        outside = within(ours(path), *facts[:3], *light, *READERS, "dashboard")
        assert not outside - {"evaluator", "search"}
        assert "space.module" not in ours(path)
    roots = {name.split(".")[0] for name in imported(path)}
    assert "optuna" not in roots or module in ("search.samplers.bridge", "search.samplers.screen",
                                                  "search.samplers.ecosystem")  # fmt: skip
    assert (
        "torch" not in roots or module == "space.module" or package == "evaluator" or module == "search.engines.guard"
    )
    assert not {"torchvision", "timm", "torchmetrics"} & roots
    if package == "dashboard":
        assert not {"torch", "fvcore", "optuna"} & roots


@pytest.mark.parametrize(
    "module",
    [
        "search.run",
        "search.loop",
        "search.store",
        "search.pareto",
        "search.answer",
        "search.pick_report",
        "evaluator.tasks",
    ],
)
def test_the_driver_does_without_torch(module):
    code = f"import sys, {module}; assert not {{'torch', 'fvcore'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_of_backends_are_known_without_their_runtimes():
    heavy = "{'torch', 'cv2', 'openvino', 'onnxruntime', 'tensorrt'}"
    code = f"import sys, evaluator.backends as b; assert list(b.BACKENDS); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_readme_names_every_metric():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in METRICS if f"`{name}`" not in readme] == []


def test_an_unknown_metric_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'latency_ms'"):
        metric("latency")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("macs", 412.4e6, "412 M"), ("macs", 1.2345e9, "1,234 M"), ("latency_ms", 8.914, "8.91 ms"),
     ("ap", 0.3519, "0.352"), ("peak_bytes", 2.5 * 2**20, "2.5 MiB"), ("ap", None, "–"), ("macs", float("nan"), "–")],
)  # fmt: skip
def test_metrics_are_shown_with_their_unit(name, value, shown):
    assert metric(name).show(value) == shown


def test_no_path_or_host_of_a_machine_is_in_the_project():
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    me = Path(__file__).relative_to(ROOT)
    bad = re.compile(r"/work/|/root/|/home/\w+/|\.library|opt/wheels")
    for name in tracked.stdout.split("\0"):
        path = ROOT / name
        if (
            name
            and path.suffix in (".py", ".md", ".toml", ".txt", ".css", ".js", "")
            and path != ROOT / me
            and path.is_file()
        ):
            assert not bad.search(path.read_text()), name


def test_every_package_is_listed_in_pyproject():
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in (*PACKAGES, "studies")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert listed == found
