"""Names: a name server with a zone of its own, and Python's answers to the questions of names.txt.

    names.py serve ZONE     serves the zone on 127.0.0.1:53, UDP; prints `ready`
    names.py answer FILE    answers each question of the file in one line

The guest tests/guests/src/bin/names.rs reads the same questions and answers in the same words.
"""

import ctypes
import errno
import socket
import struct
import sys

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "TXT": 16, "AAAA": 28}
# RFC 1035 4.1.1.
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
FAILURES = {"FORMERR": FORMERR, "SERVFAIL": SERVFAIL, "NOTIMP": NOTIMP, "REFUSED": REFUSED}


def read_zone(path):
    """Lines of NAME TYPE VALUE; instead of a type a failure, or MUTE for no answer at all. A name with TURNS has
    one of its A records at a time."""
    zone = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                zone.setdefault(words[0].lower(), []).append(words[1:])
    return zone


def wire(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind in ("CNAME", "PTR"):
        return wire(value)
    return bytes([len(value)]) + value.encode()


def records(zone, name, wanted):
    """The answers for a name, along its aliases; none where no such name is known."""
    found = []
    for _ in range(8):
        rows = zone.get(name.lower())
        if rows is None:
            return found or None
        turns = rows[0] == ["TURNS"]
        rows = rows[1:] if turns else rows
        of_type = [row for row in rows if TYPES.get(row[0]) == wanted]
        if turns and of_type:
            zone[name.lower()] = [["TURNS"], *rows[1:], rows[0]]
            of_type = of_type[:1]
        found += [(name, kind, value) for kind, value in of_type]
        alias = [value for kind, value in rows if kind == "CNAME"]
        if not alias or wanted == TYPES["CNAME"]:
            return found
        found.append((name, "CNAME", alias[0]))
        name = alias[0]
    return found


def asked(query):
    """The name and the type that a query asks for, and where its question ends."""
    end = 12
    labels = []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode())
        end += 1 + query[end]
    (wanted,) = struct.unpack("!H", query[end + 1 : end + 3])
    return ".".join(labels), wanted, end + 5


def reply(zone, query):
    """The answer to a query; none where the zone says to be silent."""
    name, wanted, end = asked(query)
    question = query[12:end]
    rows = zone.get(name.lower(), [])
    for row in rows:
        if row[0] == "MUTE":
            return None
        if row[0] in FAILURES:
            return query[:2] + struct.pack("!5H", 0x8180 | FAILURES[row[0]], 1, 0, 0, 0) + question
    found = records(zone, name, wanted)
    code = NXDOMAIN if found is None else NOERROR
    answer = query[:2] + struct.pack("!5H", 0x8180 | code, 1, len(found or []), 0, 0) + question
    for owner, kind, value in found or []:
        value = data(kind, value)
        answer += wire(owner) + struct.pack("!HHIH", TYPES[kind], 1, 60, len(value)) + value
    return answer


def serve(path):
    zone = read_zone(path)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        query, peer = server.recvfrom(4096)
        print(f"asked {asked(query)[0]}", flush=True)
        answer = reply(zone, query)
        if answer:
            server.sendto(answer, peer)


def text(word):
    """A field of a question: `none`, text with \\x escapes, or `\"\"`."""
    if word == "none":
        return None
    if word == '""':
        return ""
    return word.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in word else word


def service(word):
    """A service: text, or behind an equals sign a number that Python takes as one."""
    return int(word[1:]) if word and word.startswith("=") else word


def shown(address):
    host, port, *rest = address
    return "/".join(map(str, [host, port, *rest]))


def getaddrinfo(host, port, family, kind, protocol, flags):
    found = socket.getaddrinfo(host, service(port), int(family), int(kind), int(protocol), int(flags, 0))
    return "; ".join(
        f"{int(family)} {int(kind)} {protocol} {name!r} {shown(address)}"
        for family, kind, protocol, name, address in found
    )


def getnameinfo(host, port, flags, *scope):
    address = (host, int(port), 0, int(scope[0])) if scope else (host, int(port))
    return " ".join(socket.getnameinfo(address, int(flags, 0)))


def entry(name, aliases, addresses):
    return f"{name} [{' '.join(aliases)}] [{' '.join(addresses)}]"


def gai_error(number):
    number = int(number)
    return f"{EAI[number]} {number} {libc.gai_strerror(number).decode()}"


def lookup_flags(number):
    number = int(number, 0)
    names = [flag.name for flag in socket.AddressInfo if number & flag]
    return f"{number} {' '.join(names)}"


libc = ctypes.CDLL(None)
libc.gai_strerror.restype = libc.hstrerror.restype = ctypes.c_char_p
CALLS = {
    "gai_error": gai_error,
    "host_error": lambda number: libc.hstrerror(int(number)).decode(),
    "lookup_flags": lookup_flags,
    "getaddrinfo": getaddrinfo,
    "getnameinfo": getnameinfo,
    "gethostbyname": socket.gethostbyname,
    "gethostbyname_ex": lambda name: entry(*socket.gethostbyname_ex(name)),
    "gethostbyaddr": lambda name: entry(*socket.gethostbyaddr(name)),
    "getfqdn": socket.getfqdn,
    "gethostname": socket.gethostname,
    "getservbyname": lambda *words: socket.getservbyname(*words),
    "getservbyport": lambda port, *words: socket.getservbyport(int(port), *words),
    "getprotobyname": socket.getprotobyname,
    "if_nameindex": lambda: " ".join(f"{index}={name}" for index, name in socket.if_nameindex()),
    "if_nametoindex": socket.if_nametoindex,
    "if_indextoname": lambda index: socket.if_indextoname(int(index)),
    "inet_aton": lambda text: socket.inet_aton(text).hex(),
    "inet_ntoa": lambda packed: socket.inet_ntoa(bytes.fromhex(packed)),
    "inet_pton": lambda family, text: socket.inet_pton(int(family), text).hex(),
    "inet_ntop": lambda family, packed: socket.inet_ntop(int(family), bytes.fromhex(packed)),
    "htons": lambda number: socket.htons(int(number)),
    "htonl": lambda number: socket.htonl(int(number)),
    "ntohs": lambda number: socket.ntohs(int(number)),
    "ntohl": lambda number: socket.ntohl(int(number)),
}
EAI = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


def outcome(call, words):
    try:
        return f"ok {CALLS[call](*words)}"
    except socket.gaierror as error:
        return f"gaierror {EAI.get(error.errno, '?')} {error.errno} {error.strerror}"
    except socket.herror as error:
        return f"herror {error.errno} {error.strerror}"
    except OSError as error:
        return f"error {errno.errorcode[error.errno]}" if error.errno else "error"
    except (ValueError, OverflowError):
        # What Python itself does not take: UnicodeError, wrong lengths and ranges.
        return "error"


def answer(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            call, *words = [word.strip(" ") for word in line.rstrip("\n").split("|")]
            print(outcome(call, [text(word) for word in words]))


if __name__ == "__main__":
    {"serve": serve, "answer": answer}[sys.argv[1]](*sys.argv[2:])
