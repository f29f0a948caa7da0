"""The command line, in real processes: one clear line and exit code 2, or a page."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest


def dashboard(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dashboard", *arguments], capture_output=True, text=True, timeout=30, cwd=cwd
    )


def test_the_dashboard_imports_no_torch_optuna_fvcore_or_pandas(path: Path) -> None:
    code = (
        "import sys, dashboard.__main__, dashboard.app\n"
        "from dashboard.data import Database\n"
        f"database = Database({str(path)!r})\n"
        "app = dashboard.app.create_app(database)\n"
        "from dashboard.deployed import Where\n"
        "from dashboard.pages import candidate\n"
        "snapshot = database.snapshot()\n"
        "candidate.layout(database.detail(snapshot.columns.ids[0]), snapshot, '', Where.own(None))\n"
        "heavy = {'torch', 'optuna', 'fvcore', 'onnxruntime', 'pandas'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


def test_help_is_fast_and_names_every_option() -> None:
    began = time.perf_counter()
    result = dashboard("--help")
    assert result.returncode == 0
    assert time.perf_counter() - began < 5
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    listed = {"--db", "--demo", "--host", "--port", "--open", "--reference", "--allow-host"}
    assert set(re.findall(r"--[a-z-]+", result.stdout)) - {"--help"} == listed
    assert [option for option in listed if option not in readme] == []


def foreign(tmp_path: Path) -> str:
    path = tmp_path / "foreign.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS trials (id INTEGER)")
    connection.commit()
    connection.close()
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--db", "{foreign}"], "belongs to another program"),
        (["--db", "{tmp}/no/such/folder/csp.db"], "does not exist"),
        (["--db", "{tmp}"], "is a folder"),
        (["--db", "nosuch://x"], "nosuch"),
        (["--db", "postgresql://u:secret@127.0.0.1:1/x"], "cannot open"),
        (["--db", "://"], "://"),
        (["--port", "70000"], "must be between 0 and 65535"),
        (["--port", "x"], "--port"),
        (["--host", "no.such.host.invalid"], "is not a name or address"),
        (["--host", "203.0.113.7"], "is not an address of this machine"),
        (["--nonsense"], "--nonsense"),
        (["--allow-host", "http://x:80"], "without scheme, port and wildcard"),
        (["--allow-host", "*"], "without scheme, port and wildcard"),
        (["--demo", "--db", "csp.db"], "exclude each other"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    filled = [text.format(tmp=tmp_path, foreign=foreign(tmp_path)) if "{" in text else text for text in arguments]
    result = dashboard("--port", "0", *filled) if "--port" not in filled else dashboard(*filled)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert "secret" not in result.stderr


def test_a_port_in_use_is_named(path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        result = dashboard("--db", str(path), "--port", str(port))
    assert result.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_privileged_port_is_named(path: Path) -> None:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 81))
    except PermissionError:
        result = dashboard("--db", str(path), "--port", "81")
        assert result.returncode == 2
        assert "needs privileges" in result.stderr
    else:
        pytest.skip("this user may bind port 81")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_answers_and_stops(path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--db", str(path), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert str(path) in line
        url = line.split(" at ")[1].split()[0]
        with urlopen(f"{url}/health", timeout=10) as response:
            assert response.status == 200
            assert json.load(response)["database"] == "ready"
            assert "unsafe-eval" not in response.headers["Content-Security-Policy"]
        with pytest.raises(OSError, match="403"):
            urlopen(Request(f"{url}/", headers={"Host": "rebound.example"}), timeout=10)
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=10) as raw:
            raw.sendall(b"POST /write/note HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
            assert b" 413 " in raw.recv(100), "before it is read"
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.2", False)])
def test_every_host_answers_to_addresses_and_names_of_its_own(path: Path, host: str, warned: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--db", str(path), "--port", "0", "--host", host,
         "--allow-host", "CSP.lan"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0].replace("0.0.0.0", "127.0.0.1")
        own = [socket.gethostname()] if warned else []
        for name in ("127.0.0.2:81", "localhost", "[::1]:8050", "192.0.2.7", "csp.LAN:8050", *own):
            with urlopen(Request(f"{url}/health", headers={"Host": name}), timeout=10) as response:
                assert response.status == 200, name
        for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "2130706433", "", "a b", "[x"):
            with pytest.raises(OSError, match=r"40[03]"):
                urlopen(Request(f"{url}/health", headers={"Host": name}), timeout=10)
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert ("there is no login" in errors) == warned


def test_a_missing_file_is_a_page_and_not_an_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        with urlopen(f"{url}/health", timeout=10) as response:
            assert json.load(response)["database"] == "missing"
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert not (tmp_path / "csp.db").exists()
