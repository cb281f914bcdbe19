"""Steps on sockets, in the words of the guest `ancillary` (tests/guests/src/bin/ancillary.rs): what Python's own
socket module makes of them, printed as the guest prints it.
"""

import errno
import hashlib
import os
import socket
import struct
import sys

PATIENCE = 30

# What this version of the module has no name for, by Linux's numbers.
EXTRA = {
    "SOL_IPV6": 41,
    "SOL_ICMPV6": 58,
    "SOL_PACKET": 263,
    "SOL_CAN_J1939": 107,
    "SOL_SCTP": 132,
    "SO_TIMESTAMP": 29,
    "SO_TIMESTAMPNS": 35,
    "SO_TIMESTAMPING": 37,
    "SO_TIMESTAMP_NEW": 63,
    "SO_TIMESTAMPNS_NEW": 64,
    "SO_TIMESTAMPING_NEW": 65,
    "SO_RXQ_OVFL": 40,
    "SO_TXTIME": 61,
    "SO_RCVMARK": 75,
    "SO_PASSPIDFD": 76,
    "IP_PKTINFO": 8,
    "IP_MTU_DISCOVER": 10,
    "IP_RECVERR": 11,
    "IP_RECVTTL": 12,
    "IP_RECVORIGDSTADDR": 20,
    "IP_RECVFRAGSIZE": 25,
    "IPV6_MTU_DISCOVER": 23,
    "IPV6_RECVERR": 25,
    "IPV6_HDRINCL": 36,
    "IPV6_RECVORIGDSTADDR": 74,
    "IPV6_RECVFRAGSIZE": 77,
    "SOL_UDP": 17,
    "UDP_SEGMENT": 103,
    "UDP_GRO": 104,
    "SO_ZEROCOPY": 60,
    "IP_RECVERR_RFC4884": 26,
}
FLAGS = ["OOB", "TRUNC", "CTRUNC", "EOR", "ERRQUEUE", "DONTROUTE", "CONFIRM"]


def number(word):
    return int(word, 0)


def constant(word):
    for names in (vars(socket), EXTRA):
        if word in names:
            return int(names[word])
    return number(word)


def flags(word):
    return sum(constant("MSG_" + name) for name in word.split("+")) if word != "-" else 0


def pattern(length):
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def data(word):
    if word == "-":
        return b""
    if word.startswith("*"):
        return pattern(number(word[1:]))
    if word.startswith("x"):
        return bytes.fromhex(word[1:])
    return word.encode()


def pieces(word):
    if word == "-":
        return []
    if word.startswith("1*"):
        return [bytes([byte]) for byte in data(word[1:])]
    return [data(piece) for piece in word.split("+")]


def text(value):
    value = bytes(value)
    if len(value) > 100:
        return f"{len(value)} {hashlib.sha256(value).hexdigest()}"
    if value and all(0x21 <= byte <= 0x7E for byte in value):
        return value.decode()
    return "x" + value.hex()


def address(word):
    parts = word.split(":")
    match parts:
        case ["can", interface]:
            return (interface,)
        case ["j1939", interface, name, pgn, node]:
            name = number(name) if name != "-" else socket.J1939_NO_NAME
            pgn = number(pgn) if pgn != "-" else socket.J1939_NO_PGN
            node = number(node) if node != "-" else socket.J1939_NO_ADDR
            return (interface, name, pgn, node)
        case ["vsock", cid, port]:
            return (number(cid), number(port))
        case ["alg", kind, name]:
            return (kind, name)
    if word.startswith("@"):
        return "\0" + word[1:]
    if word.startswith("/"):
        return word
    host, port = word.rsplit(":", 1)
    return (host.strip("[]"), number(port))


def show(name):
    match name:
        case (str(host), int(port), *_) if ":" in host:
            return f"[{host}]:{port}"
        case (str(host), int(port)):
            return f"{host}:{port}"
        case (str(interface),):
            return interface
    return str(name)


def sockaddr(value):
    (family,) = struct.unpack_from("H", value)
    if family == socket.AF_INET:
        (port,) = struct.unpack_from("!H", value, 2)
        return f"{socket.inet_ntoa(value[4:8])}:{port}"
    if family == socket.AF_INET6:
        (port,) = struct.unpack_from("!H", value, 2)
        return f"[{socket.inet_ntop(family, value[8:24])}]:{port}"
    return "-"


def device(index):
    return socket.if_indextoname(index) if index else "-"


def stamp(seconds, rest, scale):
    return f"{seconds}.{rest * scale:09}" if (seconds, rest) != (0, 0) else "-"


def extended(value):
    code, origin, kind, more, _, info, further = struct.unpack_from("IBBBBII", value)
    offender = sockaddr(value[16:]) if len(value) >= 18 else "-"
    name = errno.errorcode.get(code, str(code)).removeprefix("E").lower() if code else "0"
    return f"error {name} origin {origin} type {kind} code {more} info {info} data {further} by {offender}"


def word(form):
    return lambda value: struct.unpack(form, value)[0]


def pktinfo(value):
    index, source, destination = struct.unpack("I4s4s", value)
    return f"pktinfo {device(index)} {socket.inet_ntoa(source)} {socket.inet_ntoa(destination)}"


def pktinfo6(value):
    ip, index = struct.unpack("16sI", value)
    return f"pktinfo {device(index)} {socket.inet_ntop(socket.AF_INET6, ip)}"


def stamps(value):
    software, _, hardware = [stamp(*struct.unpack_from("qq", value, at), 1) for at in (0, 16, 32)]
    return f"timestamping {software} {hardware}"


def byte_or_int(value):
    return value[0] if len(value) == 1 else struct.unpack("i", value)[0]


def microseconds(value):
    return "timestamp " + stamp(*struct.unpack("qq", value), 1000)


def nanoseconds(value):
    return "timestamp " + stamp(*struct.unpack("qq", value), 1)


def hexed(name):
    return lambda value: f"{name} x{value.hex()}"


FORMS = {
    (1, 1): lambda value: f"rights {len(value) // 4}",
    (1, 2): lambda value: "credentials {} {} {}".format(*struct.unpack("iII", value)),
    (1, 3): lambda value: "label " + value.rstrip(b"\0").decode(),
    (1, 4): lambda value: "pidfd",
    (1, 29): microseconds,
    (1, 63): microseconds,
    (1, 35): nanoseconds,
    (1, 64): nanoseconds,
    (1, 37): stamps,
    (1, 65): stamps,
    (1, 36): lambda value: f"mark {word('I')(value)}",
    (1, 40): lambda value: f"drops {word('I')(value)}",
    (0, 8): pktinfo,
    (41, 50): pktinfo6,
    (0, 2): lambda value: f"hops {byte_or_int(value)}",
    (41, 52): lambda value: f"hops {byte_or_int(value)}",
    (0, 1): lambda value: f"class {byte_or_int(value)}",
    (41, 67): lambda value: f"class {byte_or_int(value)}",
    (0, 20): lambda value: "original " + sockaddr(value),
    (41, 74): lambda value: "original " + sockaddr(value),
    (0, 6): hexed("options"),
    (0, 7): hexed("options"),
    (41, 54): hexed("hop-options"),
    (41, 59): hexed("destination-options"),
    (41, 57): hexed("routing-header"),
    (41, 61): lambda value: f"path-mtu {word('I')(value[28:])} {sockaddr(value)}",
    (0, 25): lambda value: f"fragment {word('i')(value)}",
    (41, 77): lambda value: f"fragment {word('i')(value)}",
    (0, 11): extended,
    (41, 25): extended,
    (107, 4): extended,
    (17, 104): lambda value: f"segment {word('i')(value)}",
    (107, 1): lambda value: f"j1939-address {value[0]}",
    (107, 2): lambda value: f"j1939-name {word('Q')(value):x}",
    (107, 3): lambda value: f"j1939-priority {value[0]}",
}


def describe(level, kind, value):
    form = FORMS.get((level, kind))
    raw = f"raw {level}/{kind} x{value.hex()}"
    try:
        return form(value) if form else raw
    except struct.error:
        # It was cut.
        return raw


def rest(ancillary, numbers, source):
    names = [name for name in FLAGS if numbers & constant("MSG_" + name)]
    line = f" flags {'+'.join(names)}" if names else ""
    if source:
        line += f" from {show(source)}"
    return line + "".join(f" | {describe(*one)}" for one in ancillary)


def beside(word):
    kind, _, given = word.partition("=")
    words = given.split(",")
    match kind, words:
        case "credentials", [pid, uid, gid]:
            return (1, 2, struct.pack("iII", int(pid) or os.getpid(), int(uid), int(gid)))
        case "hops", [hops]:
            return (constant("SOL_IP"), 2, struct.pack("i", int(hops)))
        case "hops6", [hops]:
            return (41, 52, struct.pack("i", int(hops)))
        case "class", [value]:
            return (0, 1, struct.pack("i", int(value)))
        case "class6", [value]:
            return (41, 67, struct.pack("i", int(value)))
        case "segment", [size]:
            return (17, 103, struct.pack("H", int(size)))
        case "raw", [level, number_, value]:
            return (constant(level), constant(number_), bytes.fromhex(value[1:]))
    raise ValueError(word)


FAMILIES = {
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
    "unix": socket.AF_UNIX,
    "can": getattr(socket, "AF_CAN", None),
    "alg": getattr(socket, "AF_ALG", None),
    "vsock": getattr(socket, "AF_VSOCK", None),
}
TYPES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "raw": socket.SOCK_RAW,
}
PROTOCOLS = {"raw": 1, "j1939": 7, "sctp": 132, "ipv6-raw": 255}

sockets = {}


def make(call):
    match call.split(" "):
        case ["socket", family, kind, *protocol]:
            made = [socket.socket(FAMILIES[family], TYPES[kind], PROTOCOLS[protocol[0]] if protocol else 0)]
        case ["pair", kind]:
            made = socket.socketpair(socket.AF_UNIX, TYPES[kind])
        case ["accept", listener]:
            made = [sockets[listener].accept()[0]]
    for s in made:
        s.settimeout(PATIENCE)
    return made


def udp6_behind(header, source_port, ip, port, payload):
    """A datagram over IPv6 behind a routing header, as a raw socket with IPV6_HDRINCL sends it."""
    name = socket.inet_pton(socket.AF_INET6, ip)
    length = 8 + len(payload)
    pseudo = name + name + struct.pack("!IxxxB", length, 17)
    packet = struct.pack("!HHHH", source_port, port, length, 0) + payload
    total = sum(struct.unpack(f"!{(len(pseudo) + len(packet) + 1) // 2}H", pseudo + packet + b"\0" * (length % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    packet = packet[:6] + struct.pack("!H", (~total & 0xFFFF) or 0xFFFF) + packet[8:]
    head = struct.pack("!IHBB", 6 << 28, len(header) + length, 43, 64)
    return head + name + name + header + packet


def take(step):
    if " = " in step:
        names, call = step.split(" = ", 1)
        sockets.update(zip(names.split(" "), make(call)))
        return "ok"
    verb, *words = step.split(" ")
    match verb, words:
        case "say", _:
            return "ok"
        case "cmsg", [length]:
            answers = []
            for function in (socket.CMSG_LEN, socket.CMSG_SPACE):
                try:
                    answers.append(str(function(number(length))))
                except OverflowError:
                    answers.append("overflow")
            return " ".join(answers)
    s = sockets[words[0]]
    match verb, words[1:]:
        case "close", []:
            s.close()
        case "timeout", [milliseconds]:
            s.settimeout(number(milliseconds) / 1000 if milliseconds != "-" else None)
        case "bind", [to]:
            s.bind(address(to))
        case "listen", []:
            s.listen(16)
        case "connect", [to]:
            s.connect(address(to))
        case "shutdown", []:
            s.shutdown(socket.SHUT_RDWR)
        case "local", []:
            return f"ok {show(s.getsockname())}"
        case "set", [level, name, value]:
            value = bytes.fromhex(value[1:]) if value.startswith("x") else number(value)
            s.setsockopt(constant(level), constant(name), value)
        case "set-length", [level, name, length]:
            s.setsockopt(constant(level), constant(name), None, number(length))
        case "get", [level, name, length]:
            return "x" + s.getsockopt(constant(level), constant(name), number(length)).hex()
        case "send", [names, value]:
            return f"ok {s.send(data(value), flags(names))}"
        case "send", [names, value, to]:
            return f"ok {s.sendto(data(value), flags(names), address(to))}"
        case "send-msg", [names, to, value, *more]:
            to = address(to) if to != "-" else None
            sent = s.sendmsg(pieces(value), [beside(one) for one in more], flags(names), to)
            return f"ok {sent}"
        case "send-all", [value]:
            s.sendall(data(value))
        case "send-pipe", [value]:
            reader, writer = os.pipe()
            sent = s.sendmsg([data(value)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", reader))])
            name = f"pipe:[{os.fstat(reader).st_ino}]"
            os.close(reader)
            os.close(writer)
            return f"ok {sent} {name}"
        case "send-routed", [value, to]:
            # A routing header of an unknown type that has been gone through.
            ip, port = address(to)
            header = bytes([17, 0, 253, 0, 0, 0, 0, 0])
            s.sendto(udp6_behind(header, 4444, ip, port, data(value)), (ip, 0))
        case "afalg", [operation, iv, associated, names, value]:
            more = {}
            if iv != "-":
                more["iv"] = data(iv)
            if associated != "-":
                more["assoclen"] = number(associated)
            sent = s.sendmsg_afalg(pieces(value), op=constant(operation), flags=flags(names), **more)
            return f"ok {sent}"
        case "recv", [most, names]:
            return text(s.recv(number(most), flags(names)))
        case "recv-msg", [most, room, names]:
            value, *more = s.recvmsg(number(most), number(room), flags(names))
            return text(value) + rest(*more)
        case "recv-into", [sizes, room, names]:
            buffers = [bytearray(number(size)) for size in sizes.split("+")]
            length, *more = s.recvmsg_into(buffers, number(room), flags(names))
            return f"{length} in {' '.join(text(buffer) for buffer in buffers)}{rest(*more)}"
        case _:
            raise ValueError(step)
    return "ok"


for step in sys.argv[1:]:
    try:
        outcome = take(step)
    except TimeoutError:
        outcome = "timedout"
    except OSError as error:
        outcome = errno.errorcode[error.errno].removeprefix("E").lower()
    print(f"{step} -> {outcome}", flush=True)
