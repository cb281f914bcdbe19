"""What the machine's own Python has in socket and socketserver, for the tables of tests/parity."""

import socket
import socketserver
import sys


def constants():
    """Every constant with its number."""
    for name in dir(socket):
        value = getattr(socket, name)
        if name[0].isupper() and isinstance(value, int):
            print(name, int(value))
        elif name.startswith("BDADDR_"):
            print(name, value)


def public(names):
    return sorted(name for name in names if not name.startswith("_"))


def names(module):
    if module == "socket":
        # What the module says itself that it has, and the errors and wrappers that its documentation adds.
        listed = set(socket.__all__) - {"CAPI"} | {"error", "herror", "gaierror", "timeout"}
        listed |= set(public(dir(socket.socket)))
        for name in public(listed):
            print(name)
        return
    for name in sorted(socketserver.__all__):
        kind = getattr(socketserver, name)
        print(name)
        # What each class adds: what it inherits stands with its base.
        for attribute in public(vars(kind)):
            print(f"{name}.{attribute}")


def main():
    if sys.argv[1] == "constants":
        constants()
    elif sys.argv[1] == "version":
        print(f"{sys.version_info.major}.{sys.version_info.minor}")
    else:
        names(sys.argv[2])


main()
