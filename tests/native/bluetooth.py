"""Two virtual Bluetooth controllers and native peers on them: `bluetooth.py ROLE ARGUMENTS...`.

A role brings the controllers up by itself, if `btvirt -l2` has made them: hci0 and hci1, which hear each
other. Both ends of a connection are then on this machine.
"""

import ctypes
import fcntl
import hashlib
import os
import select
import socket
import struct
import sys
import time

PATIENCE = 60
# Not every Python was built with Bluetooth: the numbers are Linux's, and names go through the C library.
AF_BLUETOOTH = 31
BTPROTO_L2CAP, BTPROTO_HCI, BTPROTO_SCO, BTPROTO_RFCOMM = 0, 1, 2, 3
C = ctypes.CDLL(None, use_errno=True)
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
    control = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW, BTPROTO_HCI)
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
        "l2cap": (socket.SOCK_SEQPACKET, BTPROTO_L2CAP),
        "rfcomm": (socket.SOCK_STREAM, BTPROTO_RFCOMM),
        "sco": (socket.SOCK_SEQPACKET, BTPROTO_SCO),
    }
    kind, number = kinds[protocol]
    made = socket.socket(AF_BLUETOOTH, kind, number)
    made.settimeout(PATIENCE)
    return made


def name(protocol, device, number):
    """sockaddr_l2, sockaddr_rc, sockaddr_sco."""
    device = bytes(int(octet, 16) for octet in reversed(device.split(":")))
    if protocol == "l2cap":
        return struct.pack("<HH6sHBx", AF_BLUETOOTH, int(number), device, 0, 0)
    if protocol == "rfcomm":
        return struct.pack("<H6sBx", AF_BLUETOOTH, device, int(number))
    return struct.pack("<H6s", AF_BLUETOOTH, device)


def call(function, made, address):
    """bind(2) or connect(2), which waits."""
    made.setblocking(True)
    if function(made.fileno(), address, len(address)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    made.settimeout(PATIENCE)


def accept(listener):
    """accept(2), which waits."""
    listener.setblocking(True)
    number = C.accept(listener.fileno(), None, None)
    if number < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    connection = socket.socket(fileno=number)
    connection.settimeout(PATIENCE)
    return connection


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


def role_serve(protocol, number, times="1"):
    """Listens on hci1 and echoes."""
    _, own = up()
    listener = of(protocol)
    call(C.bind, listener, name(protocol, own, number))
    listener.listen(5)
    say("listening")
    for _ in range(int(times)):
        connection = accept(listener)
        say("accepted")
        echo(connection)
        connection.close()


def role_call(protocol, number, messages, size):
    """Connects from hci0 to hci1, and compares what comes back with what it sent."""
    own, other = up()
    caller = of(protocol)
    call(C.bind, caller, name(protocol, own, 0))
    call(C.connect, caller, name(protocol, other, number))
    say("connected")
    for turn in range(int(messages)):
        data = hashlib.sha256(str(turn).encode()).digest() * 128
        data = data[: int(size)]
        caller.sendall(data)
        back = b""
        while len(back) < len(data):
            piece = caller.recv(4096)
            if not piece:
                raise SystemExit(f"only {len(back)} bytes of message {turn} came back")
            back += piece
        if back != data:
            raise SystemExit(f"message {turn} came back as another")
    caller.close()
    say("agreed", messages)


def role_listen_for(protocol, number, seconds):
    """Listens on hci1 for so long, and says whether anybody came."""
    _, own = up()
    listener = of(protocol)
    call(C.bind, listener, name(protocol, own, number))
    listener.listen(5)
    say("listening")
    came, _, _ = select.select([listener], [], [], float(seconds))
    say("somebody came" if came else "nobody came")


def role_version(device):
    """Asks a controller for its version through the raw channel: the event that answers."""
    raw = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW, BTPROTO_HCI)
    raw.settimeout(PATIENCE)
    # struct hci_ufilter: events, of them the one that a command is complete.
    raw_filter = struct.pack("<IIIHxx", 1 << 4, 1 << 0x0E, 0, 0x1001)
    raw.setsockopt(0, 2, raw_filter)
    call(C.bind, raw, struct.pack("<HHH", AF_BLUETOOTH, int(device), 0))
    raw.send(bytes([1, 0x01, 0x10, 0]))
    say("answer", raw.recv(260).hex(" "))


def role_monitor():
    """Prints the commands, events and data of the monitor channel, in hexadecimal, until it is stopped."""
    kinds = {2: "command", 3: "event", 4: "acl sent", 5: "acl received", 6: "sco sent", 7: "sco received"}
    monitor = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW, BTPROTO_HCI)
    call(C.bind, monitor, struct.pack("<HHH", AF_BLUETOOTH, 0xFFFF, 2))
    say("listening")
    while packet := monitor.recv(65541):
        kind, controller, length = struct.unpack("<HHH", packet[:6])
        if kind in kinds:
            say(f"hci{controller}", kinds[kind], packet[6 : 6 + length].hex(" "))


if __name__ == "__main__":
    globals()["role_" + sys.argv[1]](*sys.argv[2:])
    os._exit(0)
