"""Native peers of CAN's transports: `can_transport.py ROLE ARGUMENTS...`.

Ids, addresses and parameter groups are hexadecimal, frames are `123#DEAD`. Every role says `listening` when
its socket is bound, and then what it sent and received with length and SHA-256, as the guests do.
"""

import hashlib
import random
import socket
import struct
import sys
import time

PATIENCE = 60
SOL_CAN_ISOTP = 106
ISOTP_OPTS, ISOTP_RECV_FC = 1, 2
EXTEND_ADDR, TX_PADDING = 2, 4


def say(*words):
    print(*words, flush=True)


def tell(verb, data):
    say(verb, len(data), hashlib.sha256(data).hexdigest())


def pattern(seed, length):
    return random.Random(seed).randbytes(length)


def raw(interface):
    bus = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    bus.bind((interface,))
    bus.settimeout(PATIENCE)
    return bus


def hear(interface):
    """Every frame with the milliseconds since it began, until it is ended."""
    bus = raw(interface)
    say("listening")
    while True:
        word, length, data = struct.unpack("<IB3x8s", bus.recv(16))
        now = time.monotonic() * 1000
        number = f"{word & 0x1FFFFFFF:08X}" if word >> 31 else f"{word & 0x7FF:03X}"
        say("frame", f"{number}#{data[:length].hex().upper()}", f"{now:.1f}")


def send(interface, *frames):
    """Sends frames; a bare number is a pause in milliseconds."""
    bus = raw(interface)
    for frame in frames:
        if "#" not in frame:
            time.sleep(int(frame) / 1000)
            continue
        number, data = frame.split("#")
        data = bytes.fromhex(data)
        bus.send(struct.pack("<IB3x8s", int(number, 16), len(data), data))


def channel(interface, rx, tx, options=()):
    isotp = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    flags, address, pad = 0, 0, 0xCC
    for option in options:
        name, value = option.split("=")
        if name == "pad":
            flags, pad = flags | TX_PADDING, int(value, 16)
        elif name == "address":
            flags, address = flags | EXTEND_ADDR, int(value, 16)
        elif name == "fc":
            block, separation = value.split(",")
            flow = bytes([int(block), int(separation, 16), 0])
            isotp.setsockopt(SOL_CAN_ISOTP, ISOTP_RECV_FC, flow)
    if flags:
        value = struct.pack("<IIBBBB", flags, 50000, address, pad, 0xCC, 0)
        isotp.setsockopt(SOL_CAN_ISOTP, ISOTP_OPTS, value)
    isotp.bind((interface, int(rx, 16), int(tx, 16)))
    isotp.settimeout(PATIENCE)
    say("listening")
    return isotp


def isotp_swap(interface, rx, tx, length, *options):
    """Receives one message, and sends one of that many bytes."""
    peer = channel(interface, rx, tx, options)
    tell("received", peer.recv(1 << 20))
    data = pattern(7, int(length))
    try:
        peer.send(data)
        tell("sent", data)
    except OSError as error:
        say("refused", error.errno)
        return
    tell("received", peer.recv(10))


def uds(interface, rx, tx, vin):
    """A control unit that tells its vehicle identification number, and nothing else, until it is ended."""
    peer = channel(interface, rx, tx)
    while True:
        request = peer.recv(4095)
        say("asked", request.hex())
        if request == b"\x22\xf1\x90":
            peer.send(b"\x62\xf1\x90" + vin.encode())
        else:
            peer.send(bytes([0x7F, request[0], 0x31]))


def node(interface, address, pgn=socket.J1939_NO_PGN):
    peer = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_J1939)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    peer.bind((interface, socket.J1939_NO_NAME, pgn, int(address, 16)))
    peer.settimeout(PATIENCE)
    return peer


def j1939_hear(interface, address):
    """Every message to an address, until it is ended."""
    peer = node(interface, address)
    say("listening")
    while True:
        data, (_, name, pgn, source) = peer.recvfrom(1 << 20)
        say("from", f"{source:02x}", f"{pgn:05x}", f"{name:016x}")
        tell("received", data)


def j1939_send(interface, address, to, pgn, *lengths):
    peer = node(interface, address)
    to = socket.J1939_NO_ADDR if to == "any" else int(to, 16)
    for length in map(int, lengths):
        data = pattern(length, length)
        peer.sendto(data, (interface, socket.J1939_NO_NAME, int(pgn, 16), to))
        tell("sent", data)
        # The next is another session.
        time.sleep(0.3 if to != socket.J1939_NO_ADDR else length / 7 * 0.06 + 1)


ROLES = {
    "hear": hear,
    "send": send,
    "isotp-swap": isotp_swap,
    "uds": uds,
    "j1939-hear": j1939_hear,
    "j1939-send": j1939_send,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
