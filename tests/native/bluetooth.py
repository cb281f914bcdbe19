"""Two virtual Bluetooth controllers and native peers on them: `bluetooth.py ROLE ARGUMENTS...`.

A role brings the controllers up by itself, if `btvirt -l2` has made them: hci0 and hci1, which hear each
other. Both ends of a connection are then on this machine.
"""

import fcntl
import hashlib
import os
import socket
import struct
import sys
import time

PATIENCE = 60
HCIDEVUP = 0x400448C9
HCIGETDEVINFO = 0x800448D3
HCISETSCAN = 0x400448DD
SCAN_PAGE_AND_INQUIRY = 3


def say(*words):
    print(*words, flush=True)


def address_of(control, device):
    """The address of a controller, as people write it; none where there is no such controller."""
    info = bytearray(92)
    struct.pack_into("<H", info, 0, device)
    try:
        fcntl.ioctl(control, HCIGETDEVINFO, info)
    except OSError:
        return None
    return ":".join(f"{octet:02X}" for octet in reversed(info[10:16]))


def up():
    """Brings both controllers up, and says their addresses."""
    control = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI)
    deadline = time.monotonic() + PATIENCE
    while address_of(control, 1) is None:
        if time.monotonic() > deadline:
            raise SystemExit("there are no two controllers: start `btvirt -l2`")
        time.sleep(0.05)
    for device in (0, 1):
        try:
            fcntl.ioctl(control, HCIDEVUP, device)
        except OSError as error:
            if error.errno != 114:  # EALREADY
                raise
        fcntl.ioctl(control, HCISETSCAN, struct.pack("<HxxI", device, SCAN_PAGE_AND_INQUIRY))
    addresses = [address_of(control, device) for device in (0, 1)]
    say("controllers", *addresses)
    return addresses


def of(protocol):
    kinds = {
        "l2cap": (socket.SOCK_SEQPACKET, socket.BTPROTO_L2CAP),
        "rfcomm": (socket.SOCK_STREAM, socket.BTPROTO_RFCOMM),
        "sco": (socket.SOCK_SEQPACKET, socket.BTPROTO_SCO),
    }
    kind, number = kinds[protocol]
    made = socket.socket(socket.AF_BLUETOOTH, kind, number)
    made.settimeout(PATIENCE)
    return made


def name(protocol, device, number):
    return device.encode() if protocol == "sco" else (device, int(number))


def tell(verb, data):
    say(verb, len(data), hashlib.sha256(data).hexdigest())


def echo(connection):
    """Sends back what comes, until the peer ends it, and tells what it was."""
    whole = b""
    while True:
        try:
            data = connection.recv(4096)
        except ConnectionResetError:
            break
        if not data:
            break
        whole += data
        connection.sendall(data)
    tell("echoed", whole)


def role_up():
    up()
    # The controllers stay up for as long as somebody wants them.
    sys.stdin.read()


def role_serve(protocol, number, times="1"):
    """Listens on hci1 and echoes."""
    _, own = up()
    listener = of(protocol)
    listener.bind(name(protocol, own, number))
    listener.listen(5)
    say("listening")
    for _ in range(int(times)):
        connection, peer = listener.accept()
        connection.settimeout(PATIENCE)
        say("accepted", peer[0] if isinstance(peer, tuple) else peer)
        echo(connection)
        connection.close()


def role_call(protocol, number, messages, size):
    """Connects from hci0 to hci1, and compares what comes back with what it sent."""
    own, other = up()
    sys.stdin.readline()
    call = of(protocol)
    call.bind(name(protocol, own, 0))
    call.connect(name(protocol, other, number))
    say("connected")
    for turn in range(int(messages)):
        data = hashlib.sha256(str(turn).encode()).digest() * 128
        data = data[: int(size)]
        call.sendall(data)
        back = b""
        while len(back) < len(data):
            piece = call.recv(4096)
            if not piece:
                raise SystemExit(f"only {len(back)} bytes of message {turn} came back")
            back += piece
        if back != data:
            raise SystemExit(f"message {turn} came back as another")
    call.close()
    say("agreed", messages)


def role_listen_for(protocol, number, seconds):
    """Listens on hci1 for so long, and says whether anybody came."""
    _, own = up()
    listener = of(protocol)
    listener.bind(name(protocol, own, number))
    listener.listen(5)
    say("listening")
    listener.settimeout(float(seconds))
    try:
        listener.accept()
        say("somebody came")
    except TimeoutError:
        say("nobody came")


def role_command(device, *octets):
    """Sends an HCI command packet through the raw channel."""
    up()
    raw = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI)
    raw.bind((int(device),))
    sys.stdin.readline()
    raw.send(bytes(int(octet, 16) for octet in octets))
    say("sent")
    sys.stdin.readline()


if __name__ == "__main__":
    globals()["role_" + sys.argv[1]](*sys.argv[2:])
    os._exit(0)
