"""Native peers of the example guests: `examples.py ROLE ARGUMENTS...`."""

import hashlib
import hmac
import http.server
import os
import socket
import struct
import sys

PATIENCE = 60
DIGEST = b"{sha256}"


def say(*words):
    print(*words, flush=True)


def tcp(port):
    listener = socket.create_server(("127.0.0.1", int(port)))
    listener.settimeout(PATIENCE)
    say("listening")
    return listener


def exactly(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def receive(s):
    return exactly(s, struct.unpack("!I", exactly(s, 4))[0])


def send(s, message):
    s.sendall(struct.pack("!I", len(message)) + message)


def hmac_server(port, key):
    """Challenges one client, then answers its line in capitals."""
    s, _ = tcp(port).accept()
    s.settimeout(PATIENCE)
    message = DIGEST + os.urandom(40)
    send(s, b"#CHALLENGE#" + message)
    right = DIGEST + hmac.new(key.encode(), message, hashlib.sha256).digest()
    welcome = hmac.compare_digest(receive(s), right)
    send(s, b"#WELCOME#" if welcome else b"#FAILURE#")
    say("welcome" if welcome else "failure")
    if welcome:
        line = s.makefile("rb").readline()
        say("line", line.decode().strip())
        s.sendall(line.upper())


def hmac_client(port, key, line):
    s = socket.create_connection(("127.0.0.1", int(port)), PATIENCE)
    challenge = receive(s)
    assert challenge.startswith(b"#CHALLENGE#" + DIGEST), challenge
    message = challenge[len(b"#CHALLENGE#") :]
    send(s, DIGEST + hmac.new(key.encode(), message, hashlib.sha256).digest())
    say(receive(s).decode())
    s.sendall(line.encode() + b"\n")
    s.shutdown(socket.SHUT_WR)
    say("answer", s.makefile("rb").read().decode().strip() or "none")


def echo_server(port, clients):
    """Echoes to so many clients, over both IP versions where there are two."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    listener = socket.create_server(("", int(port)), family=family, dualstack_ipv6=both)
    listener.settimeout(PATIENCE)
    say("listening")
    for _ in range(int(clients)):
        s, peer = listener.accept()
        say("client", peer[0])
        while data := s.recv(65536):
            s.sendall(data)


def echo_client(host, port, *words):
    """Sends each word and compares what comes back."""
    with socket.create_connection((host, int(port)), PATIENCE) as s:
        for word in words:
            s.sendall(word.encode())
            say("echo", exactly(s, len(word.encode())).decode())


def http_server(port, location):
    """Answers /page, and redirects everything else to a location."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            say("asked", self.headers["Host"], self.path)
            body = b"the page\n" if self.path == "/page" else b""
            self.send_response(200 if body else 302)
            if not body:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("0.0.0.0", int(port)), Handler)
    say("listening")
    server.serve_forever()


def datagram_service(path):
    """Answers one Unix datagram by its sender's name."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.bind(path)
    say("listening")
    data, source = s.recvfrom(65536)
    say("from", source, data.decode())
    s.sendto(data.upper(), source)


def broadcast_server(port):
    """Answers one broadcast from its own address."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.bind(("0.0.0.0", int(port)))
    say("listening")
    data, source = s.recvfrom(1500)
    say("from", *source, data.decode())
    s.sendto(b"offer", source)


def multicast(group, port, *messages):
    """Sends to a group on the loopback interface alone."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
    s.bind(("127.0.0.1", 0))
    for message in messages:
        s.sendto(message.encode(), (group, int(port)))
    say("sent", s.getsockname()[1])


def activate(port, name, count, *command):
    """Starts a command as a service manager does: with its listening socket as descriptor 3. A count above
    1 names descriptors that are not there."""
    listener = socket.create_server(("127.0.0.1", int(port)))
    if listener.fileno() != 3:
        os.dup2(listener.fileno(), 3)
        listener.close()
    # dup2 of a descriptor to itself would leave it to be closed.
    os.set_inheritable(3, True)
    environment = dict(os.environ)
    environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=name)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
