"""A server of SOCK_SEQPACKET: one client, one byte to begin, then COUNT records of SIZE bytes.

limits_records.py PATH COUNT SIZE
"""

import socket
import sys

path, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    with listener.accept()[0] as peer:
        peer.settimeout(60)
        peer.send(b"!")
        for _ in range(count):
            peer.send(b"r" * size)
        peer.recv(1)
