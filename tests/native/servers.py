"""Servers of Python's socketserver, and clients of any: `servers.py ROLE ARGUMENTS...`."""

import errno
import itertools
import os
import socket
import socketserver
import sys
import threading

PATIENCE = 60
NUMBERS = itertools.count()


def say(*words):
    print(*words, flush=True)


def hook(owner, name):
    """A method that says its name, and does what it did."""

    def method(self, *arguments, **named):
        say("hook", name)
        return getattr(super(owner[0], self), name)(*arguments, **named)

    return method


HOOKS = """server_bind server_activate server_close get_request process_request finish_request
shutdown_request close_request handle_timeout service_actions""".split()


def recorder(base):
    owner = []

    def verify_request(self, request, client):
        say("hook", "verify_request")
        self.requests = getattr(self, "requests", 0) + 1
        return self.requests != 2

    def handle_error(self, request, client):
        say("hook", "handle_error")
        say("error", sys.exc_info()[1])

    methods = {name: hook(owner, name) for name in HOOKS}
    methods.update(verify_request=verify_request, handle_error=handle_error)
    owner.append(type("Recorder", (base,), methods))
    return owner[0]


def handler(base):
    class Handler(base):
        def setup(self):
            say("hook", "setup")
            super().setup()

        def handle(self):
            say("hook", "handle")
            line = self.rfile.readline()
            if line.strip() == b"fail":
                raise OSError("failed as asked")
            if line.strip() == b"stop":
                # shutdown() would wait for this very thread.
                self.server._BaseServer__shutdown_request = True
            self.wfile.write(line.upper())

        def finish(self):
            say("hook", "finish")
            super().finish()

    return Handler


def order(kind):
    """The scenario of the guest's `order`."""
    base, of = {
        "stream": (socketserver.TCPServer, socketserver.StreamRequestHandler),
        "datagram": (socketserver.UDPServer, socketserver.DatagramRequestHandler),
    }[kind]
    with recorder(base)(("127.0.0.1", 0), handler(of)) as server:
        say("listening on", "%s:%s" % server.server_address)
        for _ in range(3):
            server.handle_request()
        server.timeout = 0.05
        server.handle_request()
        say("forever")
        server.serve_forever(3600)


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


def threading_server():
    """Python's own way of serving many at once."""
    # With its own queue of 5 the clients would wait for their second try to connect.
    socketserver.ThreadingTCPServer.request_queue_size = 200
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper) as server:
        server.daemon_threads = True
        say("listening on", "%s:%s" % server.server_address)
        server.serve_forever()


def connect(kind, address):
    """A client's socket of this kind."""
    datagram = kind in ("udp", "unix-datagram")
    family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    if kind == "unix-datagram":
        s.bind(address + ".client-%d-%d" % (os.getpid(), next(NUMBERS)))
    if family == socket.AF_INET:
        host, port = address.rsplit(":", 1)
        address = (host, int(port))
    s.connect(address)
    return s


def answer_of(s, datagram):
    if datagram:
        return s.recv(65536)
    data = b""
    while piece := s.recv(65536):
        data += piece
    return data


def ask(kind, address, *texts):
    """Sends each text on a socket of its own, and says what came back until the end."""
    datagram = kind in ("udp", "unix-datagram")
    for text in texts:
        with connect(kind, address) as s:
            try:
                s.sendall(text.encode() + b"\n")
                if not datagram:
                    s.shutdown(socket.SHUT_WR)
                answer = answer_of(s, datagram)
            except OSError as error:
                if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                    raise
                # It was closed with something of ours unread.
                answer = b""
            say("answer", answer.decode().strip())


def many(kind, address, count):
    """So many clients begin a line, and end it in reverse order: each is answered at once."""
    clients = [connect(kind, address) for _ in range(int(count))]
    for number, s in enumerate(clients):
        s.sendall(b"client ")
    for number, s in reversed(list(enumerate(clients))):
        s.sendall(b"%d\n" % number)
        with s.makefile("rb") as lines:
            line = lines.readline()
        if line != b"CLIENT %d\n" % number:
            raise ValueError(line)
    say("answered", len(clients))
    for s in clients:
        s.close()
    say("closed")


def datagrams(kind, address, count):
    """So many clients send a datagram each before any reads."""
    clients = [connect(kind, address) for _ in range(int(count))]
    for number, s in enumerate(clients):
        s.sendall(b"datagram %d" % number)
    for number, s in enumerate(clients):
        answer = s.recv(1000)
        if answer != b"DATAGRAM %d" % number:
            raise ValueError(answer)
    say("answered", len(clients))


def threads(kind, address, count):
    """So many clients at once, each in a thread, with some lines each."""
    answered = []

    def client(number):
        with connect(kind, address) as s, s.makefile("rwb") as file:
            for line in range(20):
                text = b"line %d of %d " % (line, number) * 50 + b"\n"
                file.write(text)
                file.flush()
                if file.readline() != text.upper():
                    return
        answered.append(number)

    workers = [threading.Thread(target=client, args=(n,)) for n in range(int(count))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    say("answered", len(answered))


ROLES = {
    "order": order,
    "threading": threading_server,
    "ask": ask,
    "many": many,
    "datagrams": datagrams,
    "threads": threads,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
