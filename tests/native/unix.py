"""Native peers in the Unix domain: `unix.py serve PATH GROUP...` and `unix.py send PATH`."""

import os
import socket
import sys

PATIENCE = 60


def say(*words):
    print(*words, flush=True)


def label():
    """What the security module calls this process; nothing where there is none."""
    try:
        with open("/proc/self/attr/current", "rb") as file:
            return file.read().rstrip(b"\0\n").decode()
    except OSError:
        return ""


def serve(path, *groups):
    """Listens with these supplementary groups until a peer has come and gone."""
    if groups:
        os.setgroups([int(group) for group in groups])
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(PATIENCE)
    listener.bind(path)
    listener.listen()
    say("groups", *sorted(os.getgroups()))
    say("label", label())
    say("listening")
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE)
    connection.recv(1)


def send(path):
    say("label", label())
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"from a native process", path)


if __name__ == "__main__":
    {"serve": serve, "send": send}[sys.argv[1]](*sys.argv[2:])
