"""Native peers of the families that name machines, services and processors: `families_misc.py ROLE ARGUMENTS...`.

Addresses are `CID:PORT` (vsock), `SERVICE:INSTANCE` (tipc), `IP:PORT` (rds) and `NODE:PORT` (qrtr).
"""

import array
import fcntl
import hashlib
import os
import socket
import struct
import subprocess
import sys

PATIENCE = 60
SOL_TIPC, GROUP_JOIN = 271, 135
CONTROL = 0xFFFFFFFE
FAMILIES = {
    "vsock": socket.AF_VSOCK,
    "tipc": socket.AF_TIPC,
    "rds": socket.AF_RDS,
    "qrtr": socket.AF_QIPCRTR,
}
STYLES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "rdm": socket.SOCK_RDM,
}


def say(*words):
    print(*words, flush=True)


def tell(verb, data):
    say(verb, len(data), hashlib.sha256(data).hexdigest())


def address(family, text):
    first, second = text.rsplit(":", 1)
    if family == "rds":
        return first, int(second)
    first, second = int(first), int(second)
    if family == "tipc":
        return socket.TIPC_ADDR_NAME, first, second, 0, socket.TIPC_CLUSTER_SCOPE
    return first, second


def shown(name):
    return ":".join(str(part) for part in name)


def made(family, style):
    s = socket.socket(FAMILIES[family], STYLES[style], 0)
    s.settimeout(PATIENCE)
    return s


def take(s, style, length):
    """One message, or so many bytes of a stream."""
    data = s.recv(1 << 20)
    while style == "stream" and len(data) < length:
        piece = s.recv(length - len(data))
        if not piece:
            break
        data += piece
    tell("received", data)


def give(s, length):
    data = os.urandom(length)
    s.sendall(data)
    tell("sent", data)


def serve(family, style, where, *lengths):
    """Takes one connection: receives each length and answers with as much."""
    s = made(family, style)
    s.bind(address(family, where))
    s.listen(8)
    say("listening", shown(s.getsockname()))
    connection, peer = s.accept()
    connection.settimeout(PATIENCE)
    say("caller", shown(peer))
    for length in map(int, lengths):
        take(connection, style, length)
        give(connection, length)
    say("end", len(connection.recv(1)))


def accept_all(family, style, where):
    """Says of each connection that it came; the witness of a denial."""
    s = made(family, style)
    s.bind(address(family, where))
    s.listen(8)
    say("listening", shown(s.getsockname()))
    while True:
        connection, peer = s.accept()
        say("caller", shown(peer))
        connection.close()


def call(family, style, where, source, *lengths):
    """Connects (from `source`, if it is not `-`), sends each length and receives as much."""
    s = made(family, style)
    if source != "-":
        s.bind(address(family, source))
    try:
        s.connect(address(family, where))
        for length in map(int, lengths):
            give(s, length)
            take(s, style, length)
    except (ConnectionResetError, BrokenPipeError, ConnectionRefusedError) as error:
        say("reset", error.errno)
        return
    say("end")


def answer(family, style, where, count):
    """Answers so many datagrams with the same bytes in the other order."""
    s = made(family, style)
    s.bind(address(family, where))
    say("listening", shown(s.getsockname()))
    for _ in range(int(count)):
        data, sender = s.recvfrom(1 << 16)
        tell("received", data)
        s.sendto(data[::-1], sender)
        tell("sent", data[::-1])
        say("from", shown(sender))


def hear(family, style, where):
    """Says of each datagram that it came, and from whom."""
    s = made(family, style)
    if family == "tipc" and where.count("-") == 1:
        service, instances = where.split(":")
        low, high = map(int, instances.split("-"))
        name = socket.TIPC_ADDR_NAMESEQ, int(service), low, high, socket.TIPC_CLUSTER_SCOPE
        s.bind(name)
    else:
        s.bind(address(family, where))
    say("listening", shown(s.getsockname()))
    while True:
        data, _ = s.recvfrom(1 << 16)
        say("heard", data.decode(errors="backslashreplace"))


def ask(family, style, where, source, *lengths):
    """Sends datagrams of these lengths, and receives one for each."""
    s = made(family, style)
    if source != "-":
        s.bind(address(family, source))
    for length in map(int, lengths):
        data = os.urandom(length)
        s.sendto(data, address(family, where))
        tell("sent", data)
        data, sender = s.recvfrom(1 << 16)
        tell("received", data)
        say("from", shown(sender))


def write(family, style, where, source, text):
    """Sends one datagram and waits for nothing."""
    s = made(family, style)
    if source != "-":
        s.bind(address(family, source))
    s.sendto(text.encode(), address(family, where))
    say("wrote")


def tipc_group(group, instance, count):
    """A member: says what the others send to all, and answers the first of them to all."""
    s = made("tipc", "rdm")
    s.setsockopt(SOL_TIPC, GROUP_JOIN, struct.pack("=4I", int(group), int(instance), 2, 0))
    say("listening")
    for number in range(int(count)):
        data = s.recv(1 << 16)
        say("heard", data.decode())
        if number == 0:
            s.send(b"from-the-native-member")
    say("end")


def tipc_node():
    """The number of this node, as a socket knows it."""
    s = made("tipc", "rdm")
    say("node", s.getsockname()[1])


def qrtr_server(service, instance, count):
    """Announces a service to the name server, and answers as `answer` does."""
    s = made("qrtr", "datagram")
    node, _ = s.getsockname()
    s.bind((node, 0))
    node, port = s.getsockname()
    s.sendto(struct.pack("<5I", 4, int(service), int(instance), node, port), (node, CONTROL))
    say("listening", shown((node, port)))
    for _ in range(int(count)):
        data, sender = s.recvfrom(1 << 16)
        while sender[1] == CONTROL:
            # The name server tells of clients that are gone.
            data, sender = s.recvfrom(1 << 16)
        tell("received", data)
        s.sendto(data[::-1], sender)
        tell("sent", data[::-1])


def qrtr_lookup(service):
    """The servers of a service, as the name server knows them."""
    s = made("qrtr", "datagram")
    node, _ = s.getsockname()
    s.sendto(struct.pack("<5I", 10, int(service), 0, 0, 0), (node, CONTROL))
    while True:
        command, found, instance, node, port = struct.unpack("<5I", s.recv(64)[:20])
        if command != 4 or (found, instance, node, port) == (0, 0, 0, 0):
            break
        say("server", found, instance, node, port)
    say("end")


def local_cid():
    """IOCTL_VM_SOCKETS_GET_LOCAL_CID."""
    with open("/dev/vsock", "rb") as device:
        answer = fcntl.ioctl(device, 0x7B9, struct.pack("I", 0))
    say("cid", struct.unpack("I", answer)[0])


def hand_over(path, what, where):
    """Passes a socket by SCM_RIGHTS, and says whether its receiver kept it."""
    keep = []
    if what == "alg":
        kind, name = where.split(":")
        passed = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0)
        passed.bind((kind, name))
    elif what == "alg-operation":
        kind, name = where.split(":")
        keep.append(socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0))
        keep[0].bind((kind, name))
        passed, _ = keep[0].accept()
    else:
        family, style, how = what.split("-")
        passed = made(family, style)
        if how == "bound":
            passed.bind(address(family, where))
        elif how == "listening":
            passed.bind(address(family, where))
            passed.listen(1)
        elif how == "connected":
            passed.connect(address(family, where))
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    s.connect(path)
    rights = array.array("i", [passed.fileno()])
    s.sendmsg([b"socket"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    s.recv(1)
    say("end")


def aes(key, blocks):
    command = ["openssl", "enc", f"-aes-{8 * len(key)}-ecb", "-nopad", "-K", key.hex()]
    return subprocess.run(command, input=blocks, stdout=subprocess.PIPE, check=True).stdout


def ghash(subkey, data):
    """NIST SP 800-38D, 6.4, by its own words."""
    h = int.from_bytes(subkey, "big")
    y = 0
    for at in range(0, len(data), 16):
        x, v, z = y ^ int.from_bytes(data[at:at + 16], "big"), h, 0
        while x:
            if x >> 127:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
            x = x << 1 & (1 << 128) - 1
        y = z
    return y.to_bytes(16, "big")


def padded(data):
    return data + bytes(-len(data) % 16)


def gcm(key, nonce, associated, cipher):
    """The tag and the plain text of AES-GCM, from nothing but openssl's AES of single blocks."""
    counters = [nonce + (1 + n).to_bytes(4, "big") for n in range(1 + (len(cipher) + 15) // 16)]
    stream = aes(key, bytes(16) + b"".join(counters))
    subkey, mask, stream = stream[:16], stream[16:32], stream[32:]
    lengths = struct.pack(">QQ", 8 * len(associated), 8 * len(cipher))
    tag = ghash(subkey, padded(associated) + padded(cipher) + lengths)
    tag = bytes(a ^ b for a, b in zip(tag, mask))
    return tag, bytes(a ^ b for a, b in zip(cipher, stream))


def gcm_open(key, nonce, associated, sealed):
    key, nonce, associated, sealed = map(bytes.fromhex, (key, nonce, associated, sealed))
    tag, plain = gcm(key, nonce, associated, sealed[:-16])
    say("plain" if tag == sealed[-16:] else "bad", plain.hex() or "-")


def gcm_seal_file(key, start, plain, sealed):
    """Seals a file as examples/guests/src/bin/kernel-crypto.rs says."""
    work(key, plain, sealed, 32768, bytes.fromhex(start))


def gcm_open_file(key, sealed, plain):
    work(key, sealed, plain, 32768 + 16, None)


def work(key, source, target, size, start):
    with open(key, "rb") as f:
        key = f.read()
    with open(source, "rb") as f:
        data = f.read()
    opening, result = start is None, b""
    if opening:
        start, data = data[:8], data[8:]
    else:
        result = start
    pieces = [data[at:at + size] for at in range(0, len(data), size)] or [b""]
    for number, piece in enumerate(pieces):
        nonce = start + number.to_bytes(4, "big")
        last = bytes([number + 1 == len(pieces)])
        if opening:
            tag, text = gcm(key, nonce, last, piece[:-16])
            assert tag == piece[-16:], "the tag is another"
        else:
            _, text = gcm(key, nonce, last, piece)
            text += gcm(key, nonce, last, text)[0]
        result += text
    with open(target, "wb") as f:
        f.write(result)
    say("end")


ROLES = {
    "serve": serve,
    "accept-all": accept_all,
    "call": call,
    "answer": answer,
    "hear": hear,
    "ask": ask,
    "write": write,
    "tipc-group": tipc_group,
    "tipc-node": tipc_node,
    "qrtr-server": qrtr_server,
    "qrtr-lookup": qrtr_lookup,
    "local-cid": local_cid,
    "hand-over": hand_over,
    "gcm-open": gcm_open,
    "gcm-seal-file": gcm_seal_file,
    "gcm-open-file": gcm_open_file,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
