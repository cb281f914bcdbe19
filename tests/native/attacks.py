"""The native side of attacks with descriptors: `attacks.py send PATH KIND COUNT`.

It connects to a guest's listener, sends a message with COUNT copies of a descriptor, and prints what the descriptor is
(`link TEXT`, as /proc/PID/fd shows it). The guest answers with a byte once it has looked; what it sends back beside
the byte is printed as `back COUNT`.
"""

import os
import socket
import sys

from descriptors import PATIENCE, Makers, say


def opened(kind):
    """A descriptor of a kind that the guest's host has none like by itself."""
    if kind == "file":
        return os.open(__file__, os.O_RDONLY)
    if kind == "folder":
        return os.open(os.path.dirname(__file__), os.O_RDONLY)
    made = getattr(Makers(0, 0), kind)()
    return made and keep(made)


def keep(item, kept=[]):
    """Its descriptor; what belongs to it stays open."""
    kept.append(item)
    return item.fd


def send(path, kind, count):
    fd = opened(kind)
    if fd is None:
        say("impossible")
        return
    say("link", os.readlink(f"/proc/self/fd/{fd}"))
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    guest.settimeout(PATIENCE)
    guest.connect(path)
    socket.send_fds(guest, [b"handles"], [fd] * int(count))
    say("sent")
    _, back, _, _ = socket.recv_fds(guest, 1, 253)
    say("back", len(back))


{"send": send}[sys.argv[1]](*sys.argv[2:])
