"""A guest in Python: sends bytes through a pair of Unix sockets, and says what the policy allowed."""

from componentize_py_types import Err
from wit_world.exports import Run as Entry
from wit_world.imports import socket
from wit_world.imports import sockgate_sockets_types as types


class Run(Entry):
    def run(self) -> None:
        try:
            left, right = socket.Socket.pair(
                types.Family_Unix(), types.SocketType_Stream(), types.Protocol_Default()
            )
        except Err as error:
            print("refused:", error.value.name)
            return
        none = types.MessageFlags(0)
        sent = left.send(b"through a pair", none)
        print("received:", right.recv(sent, none).decode())
