"""Frames and IP packets as Python sees them: `frames.py ROLE ARGUMENTS...`. Data are hexadecimal digits.

    send-frames INTERFACE HEX...          sends whole frames
    hear-frames INTERFACE ETHERTYPE COUNT SECONDS
                                          prints frames of this protocol that come in: `received HEX`
    hear-raw FAMILY PROTOCOL COUNT SECONDS
                                          prints packets of this IP protocol: `received HEX`
    hear-udp ADDRESS PORT COUNT SECONDS   prints datagrams: `received HEX from ADDRESS`
    say-can INTERFACE FRAME...            sends CAN frames, written as ID#DATA; eight digits are an extended id
    hear-can INTERFACE                    prints CAN frames: `heard ID#DATA`, until 7FF comes
"""

import select
import socket
import struct
import sys
import time

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
PACKET_OUTGOING = 4


def say(*words):
    print(*words, flush=True)


def send_frames(interface, *frames):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((interface, 0))
        for frame in frames:
            s.send(bytes.fromhex(frame))
    say("sent", len(frames))


def hear(s, count, seconds, show):
    """Prints what comes, until there were `count` or the time is over."""
    say("listening")
    end = time.monotonic() + float(seconds)
    heard = 0
    while heard < int(count):
        left = end - time.monotonic()
        if left <= 0 or not select.select([s], [], [], left)[0]:
            break
        data, source = s.recvfrom(65535)
        line = show(data, source)
        if line:
            say("received", line)
            heard += 1
    say("heard", heard)


def hear_frames(interface, ethertype, count, seconds):
    protocol = int(ethertype, 16)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)) as s:
        s.bind((interface, protocol))
        incoming = lambda data, source: source[2] != PACKET_OUTGOING and data.hex()
        hear(s, count, seconds, incoming)


def hear_raw(family, protocol, count, seconds):
    with socket.socket(FAMILIES[family], socket.SOCK_RAW, int(protocol)) as s:
        hear(s, count, seconds, lambda data, source: data.hex())


def hear_udp(address, port, count, seconds):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, int(port)))
        hear(s, count, seconds, lambda data, source: f"{data.hex()} from {source[0]}")


CAN_FRAME = "=IB3x8s"


def can(interface):
    s = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    s.settimeout(60)
    s.bind((interface,))
    return s


def say_can(interface, *frames):
    with can(interface) as s:
        for frame in frames:
            number, data = frame.split("#")
            flags = socket.CAN_EFF_FLAG if len(number) == 8 else 0
            if data == "R":
                flags, data = flags | socket.CAN_RTR_FLAG, ""
            data = bytes.fromhex(data)
            s.send(struct.pack(CAN_FRAME, int(number, 16) | flags, len(data), data))
    say("sent", len(frames))


def hear_can(interface):
    with can(interface) as s:
        say("listening")
        while True:
            number, length, data = struct.unpack(CAN_FRAME, s.recvfrom(16)[0])
            if number == 0x7FF:
                break
            width = 8 if number & socket.CAN_EFF_FLAG else 3
            data = "R" if number & socket.CAN_RTR_FLAG else data[:length].hex().upper()
            say("heard", f"{number & socket.CAN_EFF_MASK:0{width}X}#{data}")


ROLES = {
    "send-frames": send_frames,
    "hear-frames": hear_frames,
    "hear-raw": hear_raw,
    "hear-udp": hear_udp,
    "say-can": say_can,
    "hear-can": hear_can,
}

ROLES[sys.argv[1]](*sys.argv[2:])
