"""The benchmark works: its programs compile, Rung and the upstream are measured, the figures fit together.

Nothing is asserted about speed: that is `make bench`'s business, on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as bench
from tests.bench.cases import CHUNKS, REQUESTS, STREAMS, Case
from tests.bench.gateways import BARE, LITELLM, RUNG, Target
from tests.bench.measure import Sample
from tests.bench.native import Programs, compile_programs
from tests.bench.processes import cpu_seconds, memory_mb, tree
from tests.bench.prompts import MARK, questions, with_document, write_bodies
from tests.bench.summary import Results, as_json

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists() or shutil.which("cc") is None,
    reason="the benchmark needs Linux and a C compiler (cc)",
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return compile_programs(tmp_path_factory.mktemp("programs"))


@pytest.mark.slow
def test_a_quick_run_measures_rung_and_the_bare_upstream_without_an_error(tmp_path: Path):
    out = tmp_path / "bench.json"
    arguments = [
        "--quick",
        "--seconds",
        "0.5",
        "--skip",
        LITELLM,
        "--build",
        str(tmp_path / "build"),
        "--out",
        str(out),
    ]
    assert bench.main(arguments) == 0
    document = json.loads(out.read_text())
    assert {(row["target"], row["stream"]) for row in document["results"]} == {
        (target, stream) for target in (RUNG, BARE) for stream in (True, False)
    }
    for row in document["results"]:
        assert row["completed"] > 0, row
        assert row["errors"] == 0, row
        assert row["latency_p99_ms"]["median"] >= row["latency_p50_ms"]["median"] > 0, row
        assert ("first_token_p50_ms" in row) == row["stream"]
        assert ("cpu_ms_each" in row) == (row["target"] == RUNG)
    counts = document["rung_counts"]
    assert counts["cache_hit"] == counts["cache_other"] == 0
    assert counts["cache_miss"] >= sum(row["completed"] for row in document["results"] if row["target"] == RUNG)
    assert document["rung_over_litellm_proxy"]["requests_per_cpu_second"] is None


def test_a_target_that_answers_with_errors_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as refusing:
        thread = threading.Thread(target=_refuse_all, args=(refusing,))
        thread.start()
        gateway = f"other=http://127.0.0.1:{refusing.getsockname()[1]}/v1"
        arguments = ["--quick", "--seconds", "0.2", "--gateway", gateway, "--skip", RUNG, "--skip", LITELLM]
        arguments += ["--build", str(tmp_path / "build"), "--out", str(tmp_path / "bench.json")]
        try:
            assert bench.main(arguments) == 1
        finally:
            refusing.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert "503" in capsys.readouterr().err
    assert not (tmp_path / "bench.json").exists()


def _refuse_all(listening: socket.socket) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # shut down
            return
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")


def test_the_tools_compile_without_a_warning_and_measure_every_event_of_a_stream(programs: Programs, tmp_path: Path):
    bodies = tmp_path / "bodies"
    write_bodies(bodies, size=0, count=3, model="m", stream=True)
    with _upstream(programs) as port:
        result = _load(programs, port, bodies, "2", "0.2", str(CHUNKS))
    assert result["errors"] == 0
    assert result["completed"] >= 2
    # The last event bears no text but the reason for the end.
    assert result["events"] == result["completed"] * (CHUNKS + 1)


def test_a_body_of_100_kilobytes_arrives_whole(programs: Programs, tmp_path: Path):
    bodies = tmp_path / "bodies"
    write_bodies(bodies, size=100 * 1024, count=3, model="m", stream=False)
    assert all(abs(len(line) - 100 * 1024) < 2048 for line in bodies.read_text().splitlines())
    with _upstream(programs) as port:
        result = _load(programs, port, bodies, "2", "0.2", "0")
    assert result["errors"] == 0
    assert result["completed"] >= 2


@pytest.mark.parametrize(
    "reply",
    [
        b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"choices": 1}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cho\r\n9;x=y\r\nices": 1}\r\n0\r\nA: b\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"choices": 1}',
    ],
    ids=["sized", "chunked", "until close"],
)
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_the_load_generator_reads_replies_however_they_are_framed_and_split(
    programs: Programs, tmp_path: Path, reply: bytes, piece: int
):
    bodies = tmp_path / "bodies"
    write_bodies(bodies, size=0, count=2, model="m", stream=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer_pieces, args=(listening, reply, piece))
        thread.start()
        try:
            result = _load(programs, listening.getsockname()[1], bodies, "1", "0.1", "0")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert result["errors"] == 0, result
    assert result["completed"] >= 1


def _answer_pieces(listening: socket.socket, reply: bytes, piece: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # shut down
            return
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while client.recv(65536):
                for start in range(0, len(reply), piece):
                    client.sendall(reply[start : start + piece])
                if b"close" in reply:
                    break


@contextmanager
def _upstream(programs: Programs) -> Generator[int]:
    with subprocess.Popen([str(programs.upstream), "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _load(programs: Programs, port: int, bodies: Path, connections: str, seconds: str, chunks: str) -> dict[str, Any]:
    where = [str(port), "/v1/chat/completions", "key", str(bodies)]
    command = [str(programs.load), *where, "1", connections, seconds, chunks]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return json.loads(done.stdout)


def test_the_leash_ends_a_command_when_its_parent_is_gone(programs: Programs):
    script = f"{programs.leash} -1 $$ sleep 60 & echo $!; read _"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        leashed = os.pidfd_open(int(parent.stdout.readline()))
        ended = select.poll()
        ended.register(leashed, select.POLLIN)
        parent.kill()
        assert ended.poll(10_000), "the command outlived its parent"
        os.close(leashed)


def test_a_process_tree_is_counted_with_its_children():
    # `sh` stays because it waits for one of the two.
    with subprocess.Popen(
        ["/bin/sh", "-c", "exec 3<&0; cat <&3 & echo up; wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert len(tree(child.pid)) == 2
        assert {os.getpid(), child.pid} <= {stat.pid for stat in tree(os.getpid())}
        assert cpu_seconds(os.getpid()) > 0
        assert memory_mb(os.getpid()) > 1


def test_no_two_questions_are_alike_and_each_bears_the_mark_once():
    asked = questions()
    assert len(asked) > 300
    assert len(set(asked)) == len(asked)
    assert all(text.count(MARK) == 1 for text in asked)
    assert len({with_document(asked[0], number, 8192) for number in range(50)}) == 50


@pytest.mark.parametrize("text", ["=http://127.0.0.1:1", "x=https://127.0.0.1:1", "x=http://example.org:1", "x"])
def test_a_gateway_that_cannot_be_measured_is_refused_by_name(text: str):
    with pytest.raises(ValueError, match="write name=http"):
        Target.named(text)


def test_a_named_gateway_says_where_what_and_which_process():
    target = Target.named("other=http://127.0.0.1:9000/openai/v1,some-model,42,secret")
    assert (target.name, target.model, target.pid) == ("other", "some-model", 42)
    assert (target.endpoint.port, target.endpoint.path) == (9000, "/openai/v1/chat/completions")


def _sample(target: str, case: Case, number: int, *, completed: int, cpu_s: float, p50: float = 1.0) -> Sample:
    load = {"completed": completed, "errors": 0, "seconds": 1.0, "latency_ms": {"p50": p50, "p99": 2 * p50}}
    return Sample(target=target, case=case, round=number, load=load, cpu_s=cpu_s, memory_mb=1.0)


def test_ratios_compare_the_same_round_and_the_median_round_counts():
    samples = [
        _sample(target, case, number, completed=completed, cpu_s=cpu_s)
        for case in (REQUESTS, STREAMS)
        for number, rung_cpu_s in ((1, 0.5), (2, 1.0), (3, 2.0))
        for target, completed, cpu_s in ((RUNG, 1000, rung_cpu_s), (LITELLM, 100, 1.0))
    ]
    over = as_json(Results(samples))
    assert over["rung_over_litellm_proxy"]["requests_per_cpu_second"] == 10
    assert over["rung_over_litellm_proxy_ranges"]["requests_per_cpu_second"] == {"median": 10, "low": 5, "high": 20}
    assert over["rung_over_litellm_proxy"]["p50_overhead"] is None
