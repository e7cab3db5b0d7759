"""The child process behind `local_model`: llama.cpp's OpenAI-compatible server, and nothing else.

Run by `LocalModel` only. It reads its orders as one line of JSON on standard input, writes its URL as one
line of JSON on standard output when it can serve, and lives until its parent is gone: standard input ends
then, even if the parent was killed; on Linux the kernel sends a signal besides.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, cast

_PR_SET_PDEATHSIG = 1

# Takes the place of the template inside the model file, whose own default system message makes so small a
# model ramble at temperature 0. A system message of the client's is taken as it is.
_TEMPLATE = """{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant. Answer correctly and briefly.<|im_end|>
' }}{% endif %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>
' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""


def main() -> None:
    """Serve until the parent is gone."""
    orders = json.loads(sys.stdin.readline())
    die_with(parent=orders["parent"], by_kernel=orders["by_kernel"])
    answers = _own_stdout()
    server = _serve(orders)
    answers.write(json.dumps({"url": server.listening_address}) + "\n")
    answers.flush()
    sys.stdin.read()  # returns when the parent closes it, or is no more
    os._exit(0)  # at once: a generation in progress has nobody to read it


def die_with(*, parent: int, by_kernel: bool) -> None:
    """Let the kernel kill this process when its parent ends; leave at once if that has happened already.

    `by_kernel` must be false where the parent's thread that started us may end before the parent does: the
    kernel watches the thread.
    """
    if by_kernel and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _own_stdout() -> Any:  # noqa: ANN401 - a text file
    """Our line to the parent; llama.cpp's own chatter goes to standard error instead."""
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return ours


def _serve(orders: dict[str, Any]) -> Any:  # noqa: ANN401 - xllamacpp has no types
    import xllamacpp

    params = cast("Any", xllamacpp).CommonParams()
    params.model.path = orders["path"]
    params.model_alias = {orders["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = orders["port"]
    params.api_keys = [orders["api_key"]]
    params.n_parallel = orders["slots"]
    params.n_ctx = orders["context"] * orders["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = orders["threads"]
    # The most likely answer, unless the client asks for another temperature: a demonstration should be
    # repeatable.
    params.sampling.temp = 0.0
    params.chat_template = _TEMPLATE
    params.n_gpu_layers = 0
    params.offline = True
    params.warmup = params.fit_params = params.ui = params.endpoint_slots = False
    params.verbosity = 0
    return cast("Any", xllamacpp).Server(params)


if __name__ == "__main__":
    main()
