"""Native peers of UDP-Lite, MPTCP, SCTP and DCCP: `kin.py serve|call KIND HOST:PORT`."""

import hashlib
import socket
import struct
import sys

PATIENCE = 60
ROUNDS = 20
SIZE = 1000
SERVICE = 0x736F636B
SOCK_DCCP = 6
SOL_SCTP, SCTP_RECVRCVINFO, SCTP_SNDINFO, SCTP_RCVINFO = 132, 32, 2, 3
KINDS = {
    "udplite": (socket.SOCK_DGRAM, 136),
    "mptcp": (socket.SOCK_STREAM, 262),
    "sctp": (socket.SOCK_STREAM, 132),
    "sctp-many": (socket.SOCK_SEQPACKET, 132),
    "dccp": (SOCK_DCCP, 33),
}


def say(*words):
    print(*words, flush=True)


def tell(verb, data):
    say(verb, len(data), hashlib.sha256(data).hexdigest())


def made(kind):
    s = socket.socket(socket.AF_INET, *KINDS[kind])
    s.settimeout(PATIENCE)
    if kind == "dccp":
        # DCCP_SOCKOPT_SERVICE, in network byte order.
        s.setsockopt(269, 2, struct.pack("!I", SERVICE))
    if kind == "udplite":
        # The checksum covers the header and the first twelve bytes.
        s.setsockopt(136, 10, 20)
        s.setsockopt(136, 11, 8)
    return s


def message(turn):
    return (hashlib.sha256(str(turn).encode()).digest() * (SIZE // 32 + 1))[:SIZE]


def whole(s, kind):
    """One message; of a stream as many bytes."""
    data = s.recv(SIZE)
    while kind == "mptcp" and 0 < len(data) < SIZE:
        piece = s.recv(SIZE - len(data))
        if not piece:
            break
        data += piece
    return data


def on_stream(s):
    """A message and the stream that it came on."""
    data, ancillary, _, _ = s.recvmsg(2 * SIZE, 100)
    streams = [
        struct.unpack_from("@H", value)[0]
        for level, number, value in ancillary
        if (level, number) == (SOL_SCTP, SCTP_RCVINFO)
    ]
    return (streams or [0])[0], data


def serve(kind, address):
    s = made(kind)
    s.bind(address)
    if kind != "udplite":
        s.listen(5)
    say("listening", "%s:%d" % s.getsockname())
    seen = b""
    if kind in ("udplite", "sctp-many"):
        for _ in range(ROUNDS):
            data, peer = s.recvfrom(2 * SIZE)
            seen += data
            s.sendto(data, peer)
    else:
        connection, peer = s.accept()
        connection.settimeout(PATIENCE)
        say("accepted", peer[0])
        if kind == "sctp":
            connection.setsockopt(SOL_SCTP, SCTP_RECVRCVINFO, 1)
        while True:
            stream, data = on_stream(connection) if kind == "sctp" else (0, whole(connection, kind))
            if not data:
                break
            seen += data
            if kind == "sctp":
                # struct sctp_sndinfo: the same stream.
                info = struct.pack("@HHIIi", stream, 0, 0, 0, 0)
                connection.sendmsg([data], [(SOL_SCTP, SCTP_SNDINFO, info)])
            else:
                connection.sendall(data)
    tell("echoed", seen)


def call(kind, address):
    s = made(kind)
    many = kind == "sctp-many"
    if not many:
        s.connect(address)
    seen = b""
    for turn in range(ROUNDS):
        if many:
            s.sendto(message(turn), address)
        else:
            s.sendall(message(turn))
        back = whole(s, kind)
        if back != message(turn):
            raise SystemExit(f"message {turn} came back as another of {len(back)} bytes")
        seen += back
    s.close()
    tell("agreed", seen)


if __name__ == "__main__":
    task, kind, address = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    {"serve": serve, "call": call}[task](kind, (host, int(port)))
