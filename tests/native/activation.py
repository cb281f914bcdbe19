"""A service manager in few lines, sd_listen_fds(3): `activation.py SPEC COMMAND...` makes the sockets of SPEC, hands
them to the command from descriptor 3 on, and becomes it; with `times` it stays, and runs the command so many times
with the same sockets.

SPEC is JSON: `sockets` lists tcp, unix-datagram:PATH, connected, raw, packet (each also -with-header) and pipe; `names` is LISTEN_FDNAMES; `count` and `pid`
stand in place of the true LISTEN_FDS and LISTEN_PID.
"""

import fcntl
import json
import os
import socket
import sys

FIRST = 3
SOL_PACKET, PACKET_VNET_HDR = 263, 15


def say(*words):
    print(*words, flush=True)


def make(what, held):
    if what == "tcp":
        made = socket.create_server(("127.0.0.1", 0))
        say("listening", made.getsockname()[1])
        return made.detach()
    if what == "connected":
        listener = socket.create_server(("127.0.0.1", 0))
        say("listening", listener.getsockname()[1])
        return listener.accept()[0].detach()
    if what.startswith("raw"):
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        if what == "raw-with-header":
            made.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        return made.detach()
    if what.startswith("packet"):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind(("lo", 0))
        if what == "packet-with-header":
            made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        return made.detach()
    if what == "pipe":
        one, other = os.pipe()
        held.append(other)
        return one
    form, path = what.split(":", 1)
    assert form == "unix-datagram"
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(path)
    return made.detach()


def become(spec, fds, command):
    # Above all numbers that are to be handed over, so that no dup2 writes over one of them.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
    for place, fd in enumerate(high):
        os.dup2(fd, FIRST + place)
        os.close(fd)
    environment = dict(os.environ)
    environment["LISTEN_PID"] = str(spec.get("pid", os.getpid()))
    environment["LISTEN_FDS"] = str(spec.get("count", len(fds)))
    if "names" in spec:
        environment["LISTEN_FDNAMES"] = spec["names"]
    os.execve(command[0], command, environment)


spec, command = json.loads(sys.argv[1]), sys.argv[2:]
held = []
fds = [make(what, held) for what in spec["sockets"]]
times = spec.get("times", 0)
for _ in range(times):
    child = os.fork()
    if child == 0:
        become(spec, fds, command)
    say("ended", os.waitpid(child, 0)[1])
if times == 0:
    become(spec, fds, command)
