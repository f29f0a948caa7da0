"""Measure the networks of a bundle on this device: `python measure.py --device NAME`, in the folder of manifest.json.

It needs Python 3.8 or newer and onnxruntime (`pip install onnxruntime`), and nothing of CSP Explorer. OpenCV (cv2.dnn),
ncnn (`pip install ncnn`) and TensorRT's trtexec are used too where they are found. Each network's outputs are compared
with the bundle's before it is timed. Then all of them run round-robin: once a round, in a new random order, so that
load falls on all alike.

results.json is written after every tenth round: after Ctrl-C the same command goes on. Take it back to the machine with
the database: `python -m search.ingest results.json`. Close what else runs here; networks do not know that you wait.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import importlib
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

FORMAT = 1
BUNDLE, RESULTS = "csp-explorer bundle", "csp-explorer results"
ROUNDS, WARM_UP, BLOCK = 100, 5, 10
"""Rounds in all, before they count, and between two writes of the results."""
HEAT = 40
"""Calibration graphs that are in memory, and raced, together: there are hundreds."""
SAMPLES = 16
"""Values of each output that are compared."""

Json = Dict[str, Any]
Turn = Callable[[], List[Tuple[float, Optional[float]]]]
"""Runs a network once (or a few times, where a process starts for it): wall and processor milliseconds of each."""


class Fault(Exception):
    """Bad input, or a machine that lacks something; the message is the one line that the user sees."""


class Unfit(Exception):
    """One network that this runtime cannot run, or runs wrongly; the message is kept in the results."""


# -- what both sides of a bundle agree on


def checksum(data: Any) -> str:
    """SHA-256 of canonical JSON: tells an edit or an accident, not a forgery."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def image_values(shape: Sequence[int], seed: int) -> list[float]:
    """The fixed input, flat: Python's own generator gives the same numbers in every version."""
    generator = random.Random(seed)
    return [generator.random() for _ in range(math.prod(shape))]


def sample(values: Any) -> Json:
    """What is kept of one output (a numpy array): values evenly spaced over it, its size, and its largest value."""
    flat = values.reshape(-1)
    places = [k * (flat.size - 1) // (SAMPLES - 1) for k in range(SAMPLES)]
    return {"size": int(flat.size), "scale": float(abs(flat).max()), "values": [float(flat[k]) for k in places]}


def difference(got: Sequence[Json], expected: Sequence[Json]) -> float:
    """Largest difference of sampled outputs, as a share of the output's largest value. Raises Unfit."""
    if [one["size"] for one in got] != [one["size"] for one in expected]:
        raise Unfit("its outputs have other sizes than the bundle's")
    worst = 0.0
    for one, other in zip(got, expected):
        pairs = list(zip(one["values"] + [one["scale"]], other["values"] + [other["scale"]]))
        if not all(math.isfinite(a) for a, _ in pairs):
            raise Unfit("its outputs are not finite")
        worst = max([worst] + [abs(a - b) / max(other["scale"], 1e-12) for a, b in pairs])
    return worst


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest values, as numpy has it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(wall_ms: Sequence[float]) -> Json:
    """The statistics of a network's rounds."""
    return {name: quantile(wall_ms, share) for name, share in (("p25", 0.25), ("median", 0.5), ("p75", 0.75),
                                                               ("p90", 0.9))}  # fmt: skip


def clocked(run: Callable[[], object]) -> Turn:
    """One call of `run`, timed."""

    def turn() -> list[tuple[float, float | None]]:
        start, start_cpu = time.perf_counter(), time.process_time()
        run()
        cpu = time.process_time() - start_cpu
        return [(1e3 * (time.perf_counter() - start), 1e3 * cpu)]

    return turn


def race(turns: Sequence[Turn], rounds: int, order: random.Random) -> list[list[tuple[float, float | None]]]:
    """Times of each of `turns`, each once a round, in a new random order every round."""
    times: list[list[tuple[float, float | None]]] = [[] for _ in turns]
    for _ in range(rounds):
        for index in order.sample(range(len(turns)), len(turns)):
            times[index] += turns[index]()
    return times


# -- the machine


def machine() -> Json:
    """What this machine is; null where it does not say."""
    versions = {name: _version(name) for name in ("onnxruntime", "numpy", "cv2", "ncnn")}
    try:
        memory: int | None = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = None
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return {"cpu": _cpu(), "cores": os.cpu_count() or 1, "memory_bytes": memory, "system": system,
            "python": platform.python_version(), "versions": versions}  # fmt: skip


def _version(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except ImportError:
        return "not installed"


def _cpu() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    board = (_read("/proc/device-tree/model") or "").strip("\0 \n")  # ARM boards name themselves here
    return board or platform.processor() or platform.machine()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def _numbers(pattern: str) -> list[float]:
    texts = [(_read(path) or "").strip() for path in glob.glob(pattern)]
    return [float(text) for text in texts if text.lstrip("-").isdigit()]


def state() -> Json:
    """Load, clock, heat and throttling now; null where the system does not tell."""
    clocks = _numbers("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    heat = _numbers("/sys/class/thermal/thermal_zone*/temp")
    throttled = _numbers("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    try:
        load: float | None = os.getloadavg()[0]
    except (AttributeError, OSError):
        load = None
    return {
        "load_average": load,
        "frequency_mhz": sum(clocks) / len(clocks) / 1e3 if clocks else None,
        "temperature_c": max(heat) / 1e3 if heat else None,
        "throttle_count": sum(throttled) if throttled else _raspberry(),
    }


def _raspberry() -> float | None:
    """The Raspberry Pi's throttling bits as a number; 0 is none since it was started."""
    text = _read("/sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        return float(int(text, 16)) if text else None
    except ValueError:
        return None


# -- runtimes


class OnnxRuntime:
    """ONNX Runtime on the processor, all graph optimisations on."""

    name = "onnxruntime"
    install = "pip install onnxruntime"
    precisions = ("fp32",)

    @staticmethod
    def found() -> bool:
        return _importable("onnxruntime")

    def __init__(self, path: Path, model: Json, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn the cores that the next network of the round needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._feed = {"image": _image(model)}
        self.turn = clocked(lambda: self._session.run(None, self._feed))

    def outputs(self) -> list[Json]:
        return [sample(values) for values in self._session.run(None, self._feed)]


class OpenCV:
    """OpenCV's DNN module on the processor."""

    name = "opencv"
    install = "pip install opencv-python-headless"
    precisions = ("fp32",)

    @staticmethod
    def found() -> bool:
        return _importable("cv2")

    def __init__(self, path: Path, model: Json, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)
        self._net = cv2.dnn.readNetFromONNX(str(path))
        self._image = _image(model)
        self._names = [f"output{k}" for k in range(len(model["reference"]["outputs"]))]
        self.turn = clocked(self._run)

    def _run(self) -> Any:
        self._net.setInput(self._image, "image")
        return self._net.forward(self._names)

    def outputs(self) -> list[Json]:
        return [sample(values) for values in self._run()]


class Ncnn:
    """ncnn on the processor, in fp32, from its own files beside the ONNX file."""

    name = "ncnn"
    install = "pip install ncnn"
    precisions = ("fp32",)

    @staticmethod
    def found() -> bool:
        return _importable("ncnn")

    def __init__(self, path: Path, model: Json, threads: int) -> None:
        import ncnn

        if "ncnn" not in model:
            raise Unfit("ncnn runs one image at a time")
        self._net = ncnn.Net()
        option = self._net.opt
        option.num_threads = threads
        option.openmp_blocktime = 0  # as for onnxruntime: no spinning
        self._allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()  # as ncnn's own benchmark has them
        option.blob_allocator, option.workspace_allocator = self._allocators
        option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False  # Arm's default
        if any([self._net.load_param(str(path.with_suffix(".param"))),
                self._net.load_model(str(path.with_suffix(".bin")))]):  # fmt: skip
            raise Unfit("ncnn does not read it")
        image = _image(model)[0]  # a name of its own: a Mat does not keep the array alive whose memory it reads
        self._image = ncnn.Mat(image).clone()
        self._names = [f"output{k}" for k in range(len(model["reference"]["outputs"]))]
        self.turn = clocked(self._run)

    def _run(self) -> list[Any]:
        extractor = self._net.create_extractor()
        extractor.input("image", self._image)
        found = [extractor.extract(name) for name in self._names]
        if any(status for status, _ in found):
            raise Unfit("ncnn does not run it")
        return [values for _, values in found]

    def outputs(self) -> list[Json]:
        import numpy

        return [sample(numpy.array(values)) for values in self._run()]


class TrtExec:
    """TensorRT through its own tool trtexec; a process times `BLOCK` inferences, transfers included."""

    name = "tensorrt"
    install = "TensorRT's trtexec on the PATH"
    precisions = ("fp32", "fp16")
    _folder: tempfile.TemporaryDirectory[str] | None = None

    @staticmethod
    def tool() -> str | None:
        return shutil.which("trtexec") or shutil.which("/usr/src/tensorrt/bin/trtexec")

    @classmethod
    def found(cls) -> bool:
        return cls.tool() is not None

    def __init__(self, path: Path, model: Json, threads: int) -> None:
        if TrtExec._folder is None:
            TrtExec._folder = tempfile.TemporaryDirectory(prefix="measure-")
        home = Path(TrtExec._folder.name)
        key = "{}-{}".format(model["id"], model["deployment"]["precision"])
        self._engine, self._times, self._answers = (home / (key + end) for end in (".plan", ".times", ".outputs"))
        self._input = home / (key + ".input")
        self._input.write_bytes(_floats(image_values(model["input"], model["reference"]["seed"])))
        half = ["--fp16"] if model["deployment"]["precision"] == "fp16" else []
        self._call(f"--onnx={path}", f"--saveEngine={self._engine}", "--iterations=1", "--warmUp=0",
                   "--duration=0", *half)  # fmt: skip
        self.turn = self._turn

    def _call(self, *options: str) -> None:
        done = subprocess.run([str(self.tool()), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if "[E]" in line] or done.stdout.splitlines()
            raise Unfit(f"trtexec failed: {lines[-1] if lines else done.returncode}")

    def _turn(self) -> list[tuple[float, float | None]]:
        self._call(f"--loadEngine={self._engine}", f"--iterations={BLOCK}", "--warmUp=100",
                   "--duration=0", f"--exportTimes={self._times}")  # fmt: skip
        times: list[tuple[float, float | None]] = []
        times += [(float(one["latencyMs"]), None) for one in json.loads(self._times.read_text())[:BLOCK]]
        return times

    def outputs(self) -> list[Json]:
        import numpy

        self._call(f"--loadEngine={self._engine}", f"--loadInputs=image:{self._input}",
                   "--iterations=1", "--warmUp=0", "--duration=0", f"--exportOutput={self._answers}")  # fmt: skip
        found = {one["name"]: one["values"] for one in json.loads(self._answers.read_text())}
        return [sample(numpy.asarray(found[name])) for name in sorted(found)]


BACKENDS: dict[str, Any] = {backend.name: backend for backend in (OnnxRuntime, OpenCV, Ncnn, TrtExec)}


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _image(model: Json) -> Any:
    import numpy

    values = image_values(model["input"], model["reference"]["seed"])
    return numpy.asarray(values, dtype=numpy.float32).reshape(model["input"])


def _floats(values: Sequence[float]) -> bytes:
    from array import array

    return array("f", values).tobytes()


# -- measuring


class Entry(NamedTuple):
    """One network on one runtime, with its times so far."""

    backend: str
    model: Json
    run: Json


def new_run(backend: str, model: Json, threads: int) -> Json:
    """A run without times yet."""
    deployment = dict(model["deployment"], threads=threads)
    return {"backend": backend, "id": model["id"], "role": model["role"], "spec": model["spec"],
            "model_sha256": model["sha256"], "deployment": deployment, "wall_ms": [], "cpu_ms": [], "summary": None,
            "check": None, "reason": None, "before": None, "after": None, "measured_at": None}  # fmt: skip


def heats(entries: Sequence[Entry]) -> list[list[Entry]]:
    """What is raced together: all candidates, then the calibration graphs, shuffled, a few at a time."""
    candidates = [entry for entry in entries if entry.run["role"] == "candidate"]
    others = [entry for entry in entries if entry.run["role"] != "candidate"]
    random.Random(0).shuffle(others)
    return [candidates] * bool(candidates) + [others[k : k + HEAT] for k in range(0, len(others), HEAT)]


def measure(backend: str, entries: Sequence[Entry], folder: Path, rounds: int, save: Callable[[], None]) -> None:
    """Bring every run of one runtime to `rounds`, writing after each block."""
    ready = []
    for entry in entries:
        if entry.run["reason"] is None and len(entry.run["wall_ms"]) < rounds:
            turn = _prepare(backend, entry, folder)
            if turn is not None:
                ready.append((entry, turn))
    save()
    turns = [turn for _, turn in ready]
    block = 1 if backend == TrtExec.name else BLOCK  # a turn of trtexec is a block of inferences
    first = min([len(entry.run["wall_ms"]) for entry, _ in ready], default=rounds)
    order = random.Random(first)
    if backend != TrtExec.name:
        race(turns, WARM_UP, order)
    start = time.time()
    while ready:
        done = min(len(entry.run["wall_ms"]) for entry, _ in ready)
        if done >= rounds:
            break
        rest = (time.time() - start) / max(1, done - first) * (rounds - done)
        left = f", about {rest:.0f} s left" if done > first else ""
        say(f"{backend}: {done} of {rounds} rounds of {len(ready)} networks{left}")
        before = state()
        found = race(turns, min(block, rounds - done), order)
        after = state()
        for (entry, _), times in zip(ready, found):
            _add(entry.run, times, before, after)
        save()


def _prepare(backend: str, entry: Entry, folder: Path) -> Turn | None:
    """The network on its runtime, its outputs checked; None, with the reason in the run, where it cannot be used."""
    model, run = entry.model, entry.run
    try:
        ready = BACKENDS[backend](folder / model["file"], model, run["deployment"]["threads"])
        worst = difference(ready.outputs(), model["reference"]["outputs"])
    except Exception as error:  # a runtime raises what it likes; the others go on
        text = " ".join(str(error).split()) or type(error).__name__
        run["reason"] = text[:300]
    else:
        run["check"] = {"difference": worst, "tolerance": model["reference"]["tolerance"]}
        if worst <= model["reference"]["tolerance"]:
            turn: Turn = ready.turn
            return turn
        run["reason"] = "its outputs differ from the bundle's by {:.2g} of their largest value, {:g} is allowed".format(
            worst, model["reference"]["tolerance"])  # fmt: skip
    run.update(wall_ms=[], cpu_ms=[], summary=None)
    say("{}: {} is left out: {}".format(backend, model["id"], run["reason"]))
    return None


def _add(run: Json, times: list[tuple[float, float | None]], before: Json, after: Json) -> None:
    run["wall_ms"] += [round(wall, 6) for wall, _ in times]
    run["cpu_ms"] += [round(cpu, 6) for _, cpu in times if cpu is not None]
    run["summary"] = summary(run["wall_ms"])
    run["before"] = run["before"] or before
    run["after"], run["measured_at"] = after, time.time()


# -- files


def read_manifest(folder: Path) -> Json:
    """The bundle's manifest, checked; so is every file that it names. Raises Fault."""
    path = folder / "manifest.json"
    again = "unpack the bundle again: python -m zipfile -e bundle.zip FOLDER"
    try:
        manifest: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Fault(f"there is no readable manifest.json beside measure.py; {again}") from None
    if manifest.get("kind") != BUNDLE or manifest.get("format") != FORMAT:
        raise Fault(f"manifest.json is not of a bundle of format {FORMAT}")
    if manifest.get("digest") != checksum({key: value for key, value in manifest.items() if key != "digest"}):
        raise Fault(f"manifest.json was changed; {again}")
    for file in [file for model in manifest["models"] for file in [model, *model.get("ncnn", [])]]:
        try:
            data = (folder / file["file"]).read_bytes()
        except OSError:
            raise Fault("{} is missing; {}".format(file["file"], again)) from None
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise Fault("{} was changed; {}".format(file["file"], again))
    return manifest


def write_results(path: Path, header: Json, runs: Sequence[Json]) -> None:
    """Write the results whole or not at all: one line a run, so that what is left of a file cut off can be read."""
    lines = []
    for run in runs:
        body = {key: value for key, value in run.items() if key != "checksum"}
        lines.append(json.dumps(dict(body, checksum=checksum([header["checksum"], body])), allow_nan=False))
    text = '{{"header": {},\n"runs": [\n{}\n]}}\n'.format(json.dumps(header), ",\n".join(lines))
    scratch = path.with_name(path.name + ".part")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(str(scratch), str(path))
    except OSError:
        if scratch.exists():
            scratch.unlink()
        raise


def earlier(path: Path, header: Json) -> list[Json]:
    """Runs of an interrupted measurement, empty where there is none. Raises Fault for results of another one."""
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = found["header"] == header
        runs: list[Json] = found["runs"] if same else []
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise Fault(
            f"{path} holds other results (another bundle, device, runtime or options): "
            "give another file with -o, or --again to write over it"
        )
    return runs


# -- the command


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Fault(f"{message}; see --help")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="measure.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="name of this device; by default the bundle's, or its model")
    parser.add_argument("--threads", type=int, help="threads of a processor's runtime; by default the bundle's")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each network (%(default)s)")
    parser.add_argument("--backend", action="append", choices=list(BACKENDS),
                        help="runtime to measure on; may be repeated; all that are found by default")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path("results.json"), help="the results (%(default)s)")
    parser.add_argument("--again", action="store_true", help="start anew instead of going on with the results there")
    options = parser.parse_args(given)
    for name, low, high in (("threads", 1, 1024), ("rounds", 1, 100000)):
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise Fault(f"--{name} is {value}; it must be {low} to {high}")
    return options


def _backends(asked: list[str] | None) -> list[str]:
    for name in asked or []:
        if not BACKENDS[name].found():
            raise Fault(f"--backend {name} is not here; it needs {BACKENDS[name].install}")
    found = list(dict.fromkeys(asked or [name for name in BACKENDS if BACKENDS[name].found()]))
    if not found:
        raise Fault(f"no runtime is here; install one: {OnnxRuntime.install}")
    return found


def run(given: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; returns the exit code. Raises Fault, OSError."""
    options = _arguments(given)
    folder = Path(__file__).resolve().parent
    manifest = read_manifest(folder)
    backends = _backends(options.backend)
    here = machine()
    device = (options.device or manifest["device"] or "{} x{}".format(here["cpu"], here["cores"])).strip()
    if not device or len(device) > 200 or not device.isprintable() or "/" in device:
        raise Fault(f"--device is '{device}'; it must be one line of 1 to 200 characters without a slash")
    if options.threads and TrtExec.name in backends:
        say("tensorrt: --threads is for processors and changes nothing there")
    threads = options.threads or manifest["threads"]
    header: Json = {"format": FORMAT, "kind": RESULTS, "bundle": manifest["digest"], "study": manifest["study"],
                    "device": device, "machine": here,
                    "arguments": {"threads": threads, "rounds": options.rounds, "backends": backends}}  # fmt: skip
    header["checksum"] = checksum(header)
    if options.output.exists() and not options.output.is_file():
        raise Fault(f"--output '{options.output}' is no file; name one to write")
    known = {} if options.again else {_key(run): run for run in earlier(options.output, header)}
    entries = _entries(manifest["models"], backends, threads, known)

    def save() -> None:
        write_results(options.output, header, [entry.run for entry in entries])

    save()  # fails here, before any work, where nothing can be written
    try:
        for backend in backends:
            for heat in heats([entry for entry in entries if entry.backend == backend]):
                measure(backend, heat, folder, options.rounds, save)
    except KeyboardInterrupt:
        say(f"stopped; {options.output} keeps what was measured, and the same command goes on")
        return 130
    return _report(entries, options.output)


def _key(run: Json) -> tuple[str, str, str]:
    return run["backend"], run["id"], run["deployment"]["precision"]


def _entries(models: Sequence[Json], backends: Sequence[str], threads: int, known: dict[Any, Json]) -> list[Entry]:
    entries = []
    for backend in backends:
        able = BACKENDS[backend].precisions
        for model in models:
            if model["deployment"]["precision"] in able:
                fresh = new_run(backend, model, threads)
                entries.append(Entry(backend, model, known.get(_key(fresh), fresh)))
        missing = {model["deployment"]["precision"] for model in models} - set(able)
        if missing:
            say("{}: no {} here".format(backend, ", ".join(sorted(missing))))
    if not entries:
        raise Fault("none of {} runs a precision of this bundle".format(", ".join(backends)))
    return entries


def _report(entries: Sequence[Entry], output: Path) -> int:
    line = "{:<14} {:<12} {:<10} {:>9} {:>9} {:>9} {:>6}".format
    print(line("network", "runtime", "precision", "p25 ms", "median", "p90", "n"))
    shown = [entry for entry in entries if entry.run["role"] == "candidate"]
    for entry in sorted(shown, key=lambda one: (one.run["summary"] or {"p25": math.inf})["p25"]):
        run, found = entry.run, entry.run["summary"]
        place = run["id"], run["backend"], run["deployment"]["precision"]
        if found:
            times = [f"{found[name]:.3f}" for name in ("p25", "median", "p90")]
            print(line(*place, *times, len(run["wall_ms"])))
        else:
            print(line(*place, "-", "-", "-", 0), run["reason"])
    calibration = [entry.run["summary"] is not None for entry in entries if entry.run["role"] != "candidate"]
    if calibration:
        print(f"{sum(calibration)} of {len(calibration)} calibration graphs measured")
    print(f"\n{output} is complete; back at the database: python -m search.ingest {output.name}")
    sys.stdout.flush()
    return 0


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 with one line on stderr, 130 after Ctrl-C."""
    try:
        return run(given)
    except Fault as error:
        text = str(error)
    except OSError as error:
        name = f"'{error.filename}'" if error.filename else "the output"
        text = f"{name} cannot be written: {error.strerror or error}"
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it at exit
    except KeyboardInterrupt:
        say("stopped before anything began")
        return 130
    print(f"error: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
