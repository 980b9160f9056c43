"""front.py PYTHON SOCKET PROGRAM [WORD]...: what a caller sees of a program that server.py forks.

Gives the server all that a program can see of how it was started, passes signals on and ends as the program does. When
this process is killed, so is the program with all in its process group: it holds the other end of a pipe.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Iterator

PASSED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def start_as_ever() -> None:
    os.execv(sys.argv[1], [sys.argv[1], *sys.argv[3:]])


def place() -> list[str]:
    """What a process shares with others and a fork of the server would not: where it differs there is no fork."""
    with open("/proc/self/status", encoding="ascii") as lines:
        words = [line for line in lines if line.startswith(("Uid", "Gid", "Cap", "Seccomp:", "NoNewPrivs"))]
    with open("/proc/self/cgroup", encoding="ascii") as lines:
        words += lines
    words.append(f"nice {os.nice(0)}")
    return words + [os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "user", "net", "pid", "ipc")]


def lines(server: socket.socket) -> Iterator[str]:
    """What the server sends, line by line, while signals are handled at once.

    A signal that comes just before a read begins would wait for the read to end: its handler is Python's. The pipe into
    which the interpreter writes each signal ends the wait whenever that was.
    """
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    data = b""
    while True:
        ready, _, _ = select.select([server, signals], [], [])
        if signals in ready:
            os.read(signals, 4096)
        if server in ready:
            part = server.recv(4096)
            if not part:
                return
            *whole, data = (data + part).split(b"\n")
            yield from (line.decode() for line in whole)


def main() -> None:
    descriptors = [number for number in map(int, os.listdir("/proc/self/fd")) if number < 200]
    descriptors = [number for number in descriptors if os.path.exists(f"/proc/self/fd/{number}")]
    descriptors = [number for number in descriptors if os.get_inheritable(number)]
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect(sys.argv[2])
    except OSError:
        start_as_ever()
    reader, writer = os.pipe()  # `writer` stays open in this process alone, and as long as it lives
    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    asked = {
        "words": sys.argv[3:],
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "umask": os.umask(0),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "ignored": [name for name in IGNORED if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN],
        "descriptors": descriptors,
        "place": place(),
    }
    os.umask(asked["umask"])
    message = json.dumps(asked).encode()
    waiting: list[int] = []
    program = 0

    def pass_on(number: int, frame: object = None) -> None:
        if not program:
            waiting.append(number)
            return
        try:
            os.kill(program, number)
        except ProcessLookupError:
            pass

    for name in PASSED:
        if name not in asked["ignored"]:
            signal.signal(getattr(signal, name), pass_on)
    try:
        socket.send_fds(server, [len(message).to_bytes(8, "big")], [reader, *descriptors])
        server.sendall(message)
        replies = lines(server)
        first = next(replies, "")
    except OSError:
        first = ""
    if not first.startswith("pid "):
        start_as_ever()
    program = int(first.split()[1])
    for number in waiting:
        pass_on(number)
    status = next(replies, "")
    if not status:
        print("front.py: the server of the tests is gone", file=sys.stderr)
        os._exit(70)
    code = os.waitstatus_to_exitcode(int(status))
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
