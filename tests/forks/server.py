"""server.py SOCKET: has loaded torch and forks the programs that front.py asks for, until the socket is gone.

The forked process leads a process group of its own, has what front.py has been started with, and takes the place of a
process that was started with that: only its number, its parent and the seed of Python's hashes are others.
"""

import array
import atexit
import fcntl
import io
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from types import ModuleType

os.closerange(3, 4096)  # locks and pipes of whoever was the first to need a server
os.chdir("/")

# A test may move the tree through whose link to .venv this was started.
sys.path[:] = [os.path.realpath(entry) for entry in sys.path]

import numpy as np  # noqa: E402 - what follows is what programs spend their first seconds on
import soundfile  # noqa: E402, F401
import torch  # noqa: E402
import torch.utils.data  # noqa: E402, F401
import yaml  # noqa: E402, F401

F_SETSIG = 10
sys.path.insert(0, str(Path(__file__).parent))
from front import place  # noqa: E402

# What is read when a library is loaded.
READ = ("OMP", "MKL", "KMP", "OPENBLAS", "ONEDNN", "DNNL", "ATEN", "TORCH", "PYTORCH", "CUDA_MODULE", "NUMBA")
READ += ("LD_", "LC_", "LANG", "GLIBC", "MALLOC", "PYTHONUTF8", "PYTHONDEV", "PYTHONIO", "PYTHONHASH", "PYTHONWARN")


def loaded(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ)}


def may_limit(limits: dict[str, list[int]]) -> bool:
    """Whether a child of this process can have these limits."""
    mine = {name: resource.getrlimit(getattr(resource, name))[1] for name in limits}
    return all(mine[name] in (-1, hard) or 0 <= hard <= mine[name] for name, (_, hard) in limits.items())


def receive(client: socket.socket) -> tuple[dict, list[int]]:
    size, packed, _, _ = client.recvmsg(8, socket.CMSG_SPACE(253 * 4))
    descriptors = array.array("i")
    for _, _, data in packed:
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    data, wanted = b"", int.from_bytes(size, "big")
    while len(data) < wanted and (part := client.recv(wanted - len(data))):
        data += part
    return json.loads(data), list(descriptors)


def become(asked: dict, descriptors: list[int]) -> None:
    """Take over what the caller was started with."""
    os.setsid()
    numbers = asked["descriptors"]
    free = 1 + max([*numbers, *descriptors])
    alive = os.dup2(descriptors[0], free, inheritable=False)
    moved = [os.dup2(held, free + 1 + i) for i, held in enumerate(descriptors[1:])]
    os.closerange(0, free)
    for held, number in zip(moved, numbers, strict=True):
        os.dup2(held, number)
        os.close(held)
    fcntl.fcntl(alive, fcntl.F_SETOWN, -os.getpgid(0))  # the caller has gone: the kernel kills this process group
    fcntl.fcntl(alive, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([alive], [], [], 0)[0]:  # gone before that
        os.kill(os.getpid(), signal.SIGKILL)
    os.chdir(asked["directory"])
    os.umask(asked["umask"])
    for name, limits in asked["limits"].items():
        resource.setrlimit(getattr(resource, name), tuple(limits))
    for name in asked["ignored"]:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    np.random.seed()
    random.seed()


def stream(number: int, mode: str, like: io.TextIOWrapper) -> io.TextIOWrapper | None:
    try:
        raw = open(number, f"{mode}b", buffering=-1, closefd=False)
    except OSError:  # the caller has closed it
        return None
    through = mode == "w" and bool(os.environ.get("PYTHONUNBUFFERED"))
    lines = number == 2 or raw.isatty()
    return io.TextIOWrapper(raw, like.encoding, like.errors, line_buffering=lines, write_through=through)


def work(words: list[str]) -> int:
    """Run a program as `python3 PROGRAM WORD...` does; gives its exit code where it does not leave by itself."""
    sys.stdin, sys.stdout, sys.stderr = (
        stream(number, mode, like) for number, mode, like in zip((0, 1, 2), "rww", STREAMS, strict=True)
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    program = Path(words[0])
    sys.argv = words
    more = [part for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    sys.path[:] = [str(program.resolve().parent), *more, *BASE]
    main = ModuleType("__main__")
    main.__dict__.update(__file__=words[0], __builtins__=__builtins__)
    sys.modules["__main__"] = main
    code = 0
    try:
        exec(compile(program.read_bytes(), words[0], "exec"), main.__dict__)
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if code and not isinstance(ending.code, int):
            print(ending.code, file=sys.stderr)
    except BaseException as error:
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    return code


def child(client: socket.socket, asked: dict, descriptors: list[int]) -> None:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        become(asked, descriptors)
        code = work(asked["words"])
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        for file in (sys.stdout, sys.stderr):
            try:
                file.flush()
            except (OSError, ValueError, AttributeError):
                code = code or 120
        os._exit(code & 255)


def serve(path: Path) -> None:
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.tmp")
    listener.listen(64)
    os.rename(f"{path}.tmp", path)
    clients: dict[int, socket.socket] = {}
    here, mine = place(), loaded(dict(os.environ))
    while path.exists() or clients:
        ready, _, _ = select.select([listener, signals], [], [], 1.0)
        if signals in ready:
            os.read(signals, 4096)
        while clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            client = clients.pop(pid)
            with client:
                try:
                    client.sendall(f"{status}\n".encode())
                except OSError:  # killed
                    pass
        if listener not in ready:
            continue
        client, _ = listener.accept()
        descriptors: list[int] = []
        try:
            asked, descriptors = receive(client)
            if not (asked["place"] == here and loaded(asked["environment"]) == mine and may_limit(asked["limits"])):
                client.close()
                continue
            pid = os.fork()
            if not pid:
                child(client, asked, descriptors)
            clients[pid] = client
            client.sendall(f"pid {pid}\n".encode())
        except (OSError, ValueError) as error:
            print(error, flush=True)
        finally:
            for number in descriptors:
                os.close(number)


if __name__ == "__main__":
    STREAMS = sys.stdin, sys.stdout, sys.stderr
    BASE = [part for part in sys.path if part and Path(part) != Path(__file__).parent]
    BASE = [part for part in BASE if part not in os.environ.get("PYTHONPATH", "").split(":")]
    if threading.active_count() > 1:  # those of OpenBLAS end before a fork, and begin again
        sys.exit(f"threads before the first fork: {threading.enumerate()}")
    print("loaded torch in", os.times()[:2], flush=True)
    serve(Path(sys.argv[1]))
    print("it and its programs:", os.times()[:4], flush=True)
