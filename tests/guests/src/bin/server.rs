//! Servers of `sockgate_guest::server`; the first word says which.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockgate_guest::server::{
    Connection, DatagramServer, Endpoint, Packet, Request, Server, Service, Settings, StreamServer,
    TaskConnection, TaskRequest, TaskServer, TaskService,
};
use sockgate_guest::{Errno, Events, Interest, Socket, SocketType, Timeout, aio, poll};
use sockgate_test_guests::{address, named, word, words};

/// Longer than any test waits: turns come by events alone.
const LONG: Duration = Duration::from_secs(3600);

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let kind = word(&mut words, "KIND")?;
    let here = word(&mut words, "ADDRESS")?;
    let mut number = || -> io::Result<usize> {
        let word = word(&mut words, "NUMBER")?;
        word.parse().map_err(io::Error::other)
    };
    match (action.as_str(), kind.as_str()) {
        ("order", "stream") => order::<Connection>(&here, Settings::stream()),
        ("order", "datagram") => order::<Packet>(&here, Settings::datagram()),
        ("upper", "tcp") => upper(StreamServer::tcp(&here, Upper::new(number()?))?),
        ("upper", "udp") => upper(DatagramServer::udp(&here, Upper::new(number()?))?),
        ("upper", "unix-stream") => upper(StreamServer::unix(&here, Upper::new(number()?))?),
        ("upper", "unix-datagram") => upper(DatagramServer::unix(&here, Upper::new(number()?))?),
        ("closure", "stream") => closure(&here),
        ("granted", "stream") => granted(&here),
        ("tasks", "tcp") => tasks(TaskServer::tcp(&here, Upper::new(number()?))?),
        ("tasks", "udp") => tasks(TaskServer::udp(&here, Upper::new(number()?))?),
        ("tasks", "unix-stream") => tasks(TaskServer::<TaskConnection, _>::unix(
            &here,
            Upper::new(number()?),
        )?),
        ("tasks", "unix-datagram") => {
            tasks(TaskServer::<Packet, _>::unix(&here, Upper::new(number()?))?)
        }
        ("few", "tcp") => few(&here, number()?, number()?),
        ("closing", "tcp") => closing(&here, number()? == 1),
        ("closing", "udp") => closing_datagrams(&here),
        ("unbound", "tcp") => unbound(&here, number()?),
        ("reuse-address", "tcp") => reuse_address(&here, number()? == 1),
        ("reuse-port", "tcp") => reuse_port(&here, number()? == 1),
        ("buffers", "seqpacket") => buffers(&here, number()?),
        ("patience", "tcp") => patience(&here),
        ("patience-tasks", "tcp") => patience_tasks(&here),
        ("size", "udp") => size(&here, number()?),
        ("exhausted", "tcp") => exhausted(&here),
        ("exhausted-tasks", "tcp") => exhausted_tasks(&here),
        ("twice", "tcp") => twice(&here),
        ("wait", "tcp") => wait(&here),
        (action, kind) => Err(io::Error::other(format!("no such action: {action} {kind}"))),
    }
}

/// Prints every hook that is called, as Python's recorder in `servers.py` does. The second request is
/// refused, `fail` fails, `stop` ends `serve_forever`.
struct Recorder {
    requests: usize,
}

impl<R: Request> Service<R> for Recorder {
    fn setup(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        println!("hook setup");
        request.set_up(server)
    }

    fn handle(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        println!("hook handle");
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim() {
            "fail" => return Err(io::Error::other("failed as asked")),
            "stop" => server.shutdown(),
            _ => {}
        }
        request.write_all(line.to_uppercase().as_bytes())
    }

    fn finish(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        println!("hook finish");
        request.finish(server)
    }

    fn server_bind(&mut self, server: &mut Endpoint) -> io::Result<()> {
        println!("hook server_bind");
        server.bind()
    }

    fn server_activate(&mut self, server: &mut Endpoint) -> io::Result<()> {
        println!("hook server_activate");
        R::activate(server)
    }

    fn server_close(&mut self, server: &mut Endpoint) -> io::Result<()> {
        println!("hook server_close");
        server.socket().close()
    }

    fn get_request(&mut self, server: &Endpoint) -> io::Result<R> {
        println!("hook get_request");
        R::get(server)
    }

    fn verify_request(&mut self, _: &R, _: &Endpoint) -> bool {
        println!("hook verify_request");
        self.requests += 1;
        self.requests != 2
    }

    fn process_request(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        println!("hook process_request");
        self.finish_request(request, server)?;
        self.shutdown_request(request, server);
        Ok(())
    }

    fn finish_request(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        println!("hook finish_request");
        self.setup(request, server)?;
        let handled = self.handle(request, server);
        let finished = self.finish(request, server);
        handled.and(finished)
    }

    fn shutdown_request(&mut self, request: &mut R, server: &Endpoint) {
        println!("hook shutdown_request");
        request.shut_down();
        self.close_request(request, server);
    }

    fn close_request(&mut self, request: &mut R, _: &Endpoint) {
        println!("hook close_request");
        request.close();
    }

    fn handle_error(&mut self, _: &R, error: &io::Error, _: &Endpoint) {
        println!("hook handle_error");
        println!("error {error}");
    }

    fn handle_timeout(&mut self, _: &Endpoint) {
        println!("hook handle_timeout");
    }

    fn service_actions(&mut self, _: &Endpoint) {
        println!("hook service_actions");
    }
}

/// Three requests, a time-out, then `serve_forever` until it is stopped.
fn order<R: Request>(here: &str, settings: Settings) -> io::Result<()> {
    let mut server: Server<R, Recorder> =
        Server::bind(address(here)?, settings, Recorder { requests: 0 })?;
    println!("listening on {}", server.endpoint().server_address());
    for _ in 0..3 {
        server.handle_request()?;
    }
    server.endpoint_mut().settings.timeout = Some(Duration::from_millis(50));
    let begin = Instant::now();
    server.handle_request()?;
    println!("early {}", begin.elapsed() < Duration::from_millis(50));
    println!("forever");
    server.serve_forever(LONG)?;
    println!("serving {}", server.shutdown_handle().is_serving());
    server.server_close()
}

/// Capitals for so many requests, of whatever kind.
struct Upper {
    left: Cell<usize>,
    open: Cell<usize>,
    most: Cell<usize>,
}

impl Upper {
    fn new(count: usize) -> Self {
        Self {
            left: Cell::new(count),
            open: Cell::new(0),
            most: Cell::new(0),
        }
    }

    fn begin(&self) {
        self.open.set(self.open.get() + 1);
        self.most.set(self.most.get().max(self.open.get()));
    }

    fn end(&self, server: &Endpoint) {
        self.open.set(self.open.get() - 1);
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            server.shutdown();
        }
    }
}

impl<R: Request> Service<R> for Upper {
    fn handle(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        let mut line = String::new();
        while request.read_line(&mut line)? > 0 {
            request.write_all(line.to_uppercase().as_bytes())?;
            line.clear();
        }
        self.begin();
        self.end(server);
        Ok(())
    }
}

fn upper<R: Request>(mut server: Server<R, Upper>) -> io::Result<()> {
    println!("listening on {}", server.endpoint().server_address());
    server.serve_forever(LONG)?;
    println!("left {}", server.service().left.get());
    server.server_close()
}

impl TaskService<TaskConnection> for Upper {
    async fn handle(&self, request: &mut TaskConnection, server: &Endpoint) -> io::Result<()> {
        self.begin();
        let result = upper_lines(request).await;
        self.end(server);
        result
    }
}

async fn upper_lines(request: &mut TaskConnection) -> io::Result<()> {
    let mut line = String::new();
    while request.read_line(&mut line).await? > 0 {
        if line == "fail\n" {
            return Err(io::Error::other("failed as asked"));
        }
        request.write_all(line.to_uppercase().as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

impl TaskService<Packet> for Upper {
    async fn handle(&self, request: &mut Packet, server: &Endpoint) -> io::Result<()> {
        self.begin();
        // The others have their turn before this one answers.
        aio::sleep(Duration::from_millis(20)).await;
        let mut text = String::new();
        request.read_to_string(&mut text)?;
        request.write_all(text.to_uppercase().as_bytes())?;
        self.end(server);
        Ok(())
    }
}

fn tasks<R: TaskRequest>(server: TaskServer<R, Upper>) -> io::Result<()>
where
    Upper: TaskService<R>,
{
    println!("listening on {}", server.endpoint().server_address());
    aio::run(server.serve_forever(LONG));
    println!("left {}", server.service().left.get());
    println!("most {} at once", server.service().most.get());
    aio::run(server.server_close())
}

/// The shortest server.
fn closure(here: &str) -> io::Result<()> {
    let mut served = 0;
    let mut server = StreamServer::tcp(here, |request: &mut Connection| {
        served += 1;
        let client = request.client_address().clone();
        writeln!(request, "number {served} for {client}")
    })?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()?;
    server.handle_request()
}

/// On a socket that the operator gave.
fn granted(name: &str) -> io::Result<()> {
    let socket = Socket::granted(name)?;
    let answer = |request: &mut Connection| request.write_all(b"granted");
    let mut server = StreamServer::from_socket(socket, Settings::stream(), answer)?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()
}

/// At most so many at once.
fn few(here: &str, most: usize, count: usize) -> io::Result<()> {
    let settings = Settings {
        max_children: most,
        ..Settings::stream()
    };
    tasks::<TaskConnection>(TaskServer::bind(
        address(here)?,
        settings,
        Upper::new(count),
    )?)
}

/// Shuts down from another task while a request is being served, and closes.
fn closing(here: &str, block: bool) -> io::Result<()> {
    let settings = Settings {
        block_on_close: block,
        ..Settings::stream()
    };
    let server = TaskServer::bind(
        address(here)?,
        settings,
        async |one: &mut TaskConnection| {
            let mut line = String::new();
            one.read_line(&mut line).await?;
            println!("served");
            one.write_all(line.to_uppercase().as_bytes()).await
        },
    )?;
    println!("listening on {}", server.endpoint().server_address());
    aio::run(async {
        let handle = server.shutdown_handle();
        let serving = server.serve_forever(Duration::from_millis(5));
        let ending = async {
            while server.active() == 0 {
                aio::sleep(Duration::from_millis(1)).await;
            }
            handle.shutdown();
            handle.ended().await;
            println!("ended");
        };
        let parts: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 2] =
            [Box::pin(serving), Box::pin(ending)];
        aio::join_all(parts).await;
        println!("active {}", server.active());
        server.server_close().await
    })?;
    println!("closed");
    Ok(())
}

/// Answers of datagrams go over the server's socket, which stays until they are sent.
fn closing_datagrams(here: &str) -> io::Result<()> {
    let server = TaskServer::udp(here, async |packet: &mut Packet| {
        aio::sleep(Duration::from_millis(50)).await;
        packet.write_all(b"late")
    })?;
    println!("listening on {}", server.endpoint().server_address());
    aio::run(async {
        let handle = server.shutdown_handle();
        let serving = server.serve_forever(LONG);
        let ending = async {
            while server.active() == 0 {
                aio::sleep(Duration::from_millis(1)).await;
            }
            handle.shutdown();
        };
        let parts: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 2] =
            [Box::pin(serving), Box::pin(ending)];
        aio::join_all(parts).await;
        server.server_close().await
    })
}

/// Binds and listens by hand.
fn unbound(here: &str, queue: usize) -> io::Result<()> {
    let settings = Settings {
        request_queue_size: u32::try_from(queue).map_err(io::Error::other)?,
        ..Settings::stream()
    };
    let answer = |request: &mut Connection| request.write_all(b"here");
    let mut server: StreamServer<_> = Server::unbound(address(here)?, settings, answer)?;
    let socket: &Socket = server.as_ref();
    println!("family {:?}", socket.family()?);
    println!("type {:?}", socket.socket_type()?);
    println!("reuse {}", socket.reuse_address()?);
    server.server_bind()?;
    let bound = server.endpoint().server_address().clone();
    println!(
        "same {}",
        bound == server.endpoint().socket().local_address()?
    );
    println!("accepting {}", server.endpoint().socket().accepting()?);
    server.server_activate()?;
    println!("accepting {}", server.endpoint().socket().accepting()?);
    // Its socket can be waited for beside others, as Python's fileno.
    let ready = poll(
        &[(server.as_ref(), Interest::READABLE)],
        Timeout::NonBlocking,
    )?;
    println!("ready {}", ready.len());
    println!("listening on {bound}");
    let ready = poll(&[(server.as_ref(), Interest::READABLE)], Timeout::Blocking)?;
    println!("ready {}", ready[0].1.contains(Events::READABLE));
    server.handle_request()
}

/// A server again where the connections of another one linger.
fn reuse_address(here: &str, reuse: bool) -> io::Result<()> {
    let settings = Settings {
        allow_reuse_address: reuse,
        ..Settings::stream()
    };
    let answer = |request: &mut Connection| request.write_all(b"once");
    let again = settings.clone();
    let mut server: StreamServer<_> = Server::bind(address(here)?, settings, answer)?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()?;
    server.server_close()?;
    println!("closed");
    // The test says when the connection lingers.
    io::stdin().read_line(&mut String::new())?;
    let again: io::Result<StreamServer<_>> = Server::bind(address(here)?, again, answer);
    println!("again {}", result_of(&again));
    Ok(())
}

fn result_of<T>(result: &io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => named(error),
    }
}

/// Two servers on one port.
fn reuse_port(here: &str, reuse: bool) -> io::Result<()> {
    let server = || -> io::Result<StreamServer<_>> {
        let settings = Settings {
            allow_reuse_port: reuse,
            ..Settings::stream()
        };
        Server::bind(address(here)?, settings, |_: &mut Connection| Ok(()))
    };
    let first = server()?;
    println!("first {}", first.endpoint().socket().reuse_port()?);
    println!("second {}", result_of(&server()));
    Ok(())
}

/// Two writes of one request, on a socket that keeps them apart.
fn buffers(here: &str, size: usize) -> io::Result<()> {
    let settings = Settings {
        socket_type: SocketType::Seqpacket,
        wbufsize: size,
        ..Settings::stream()
    };
    let mut server: StreamServer<_> =
        Server::bind(address(here)?, settings, |one: &mut Connection| {
            one.write_all(b"one ")?;
            one.write_all(b"two")
        })?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()
}

/// A silent client, and what the settings say of each connection.
fn patience(here: &str) -> io::Result<()> {
    let settings = Settings {
        request_timeout: Some(Duration::from_millis(50)),
        disable_nagle_algorithm: true,
        rbufsize: 0,
        ..Settings::stream()
    };
    struct Impatient;
    impl Service<Connection> for Impatient {
        fn handle(&mut self, request: &mut Connection, _: &Endpoint) -> io::Result<()> {
            println!("nodelay {}", request.socket().no_delay()?);
            println!("timeout {:?}", request.socket().timeout());
            let mut line = String::new();
            request.read_line(&mut line)?;
            // Nothing was read ahead.
            println!("line {}", line.trim());
            println!("rest {:?}", request.socket().recv_vec(100)?.len());
            request.read_line(&mut line).map(drop)
        }

        fn handle_error(&mut self, request: &Connection, error: &io::Error, _: &Endpoint) {
            let client = request.client_address();
            println!("error {} of {client}", named(error));
        }
    }
    let mut server: StreamServer<_> = Server::bind(address(here)?, settings, Impatient)?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()?;
    println!("goes on");
    Ok(())
}

/// The same, each in a task: the server goes on.
fn patience_tasks(here: &str) -> io::Result<()> {
    struct Impatient;
    impl TaskService<TaskConnection> for Impatient {
        async fn handle(&self, one: &mut TaskConnection, server: &Endpoint) -> io::Result<()> {
            println!("nodelay {}", one.socket().no_delay()?);
            let mut line = String::new();
            one.read_line(&mut line).await?;
            if line == "stop\n" {
                server.shutdown();
            }
            one.write_all(line.to_uppercase().as_bytes()).await
        }

        fn verify_request(&self, request: &TaskConnection, _: &Endpoint) -> bool {
            println!("verify {}", request.client_address().as_ip().is_some());
            true
        }

        fn handle_error(&self, _: &TaskConnection, error: &io::Error, _: &Endpoint) {
            println!("error {}", named(error));
        }

        fn service_actions(&self, server: &Endpoint) {
            println!("actions {}", server.shutdown_handle().is_serving());
        }
    }
    let settings = Settings {
        request_timeout: Some(Duration::from_millis(50)),
        disable_nagle_algorithm: true,
        ..Settings::stream()
    };
    let server = TaskServer::bind(address(here)?, settings, Impatient)?;
    println!("listening on {}", server.endpoint().server_address());
    aio::run(async {
        server.serve_forever(LONG).await;
        server.server_close().await
    })
}

/// Datagrams up to a size.
fn size(here: &str, max_packet_size: usize) -> io::Result<()> {
    let settings = Settings {
        max_packet_size,
        ..Settings::datagram()
    };
    let mut server: DatagramServer<_> =
        Server::bind(address(here)?, settings, |packet: &mut Packet| {
            println!("packet {}", String::from_utf8_lossy(packet.packet()));
            println!("from {}", packet.client_address());
            let mut word = Vec::new();
            packet.read_until(b' ', &mut word)?;
            packet.write_all(b"first ")?;
            packet.write_all(&word)?;
            println!("answer {}", packet.answer().len());
            Ok(())
        })?;
    println!("listening on {}", server.endpoint().server_address());
    server.handle_request()
}

/// Says how often no request could be taken.
#[derive(Default)]
struct Counting {
    failed: Rc<Cell<usize>>,
}

impl Service<Connection> for Counting {
    fn handle(&mut self, _: &mut Connection, _: &Endpoint) -> io::Result<()> {
        Ok(())
    }

    fn get_request_failed(&mut self, error: &io::Error, server: &Endpoint) {
        self.failed.set(self.failed.get() + 1);
        println!("failed {}", named(error));
        if self.failed.get() == 3 {
            server.shutdown();
        }
    }
}

/// The policy's limit is the listener's alone.
fn exhausted(here: &str) -> io::Result<()> {
    let mut server = StreamServer::tcp(here, Counting::default())?;
    println!("listening on {}", server.endpoint().server_address());
    let probe = poll(&[(server.as_ref(), Interest::READABLE)], Timeout::Blocking)?;
    println!("ready {}", probe.len());
    let begin = Instant::now();
    server.serve_forever(LONG)?;
    println!("paused {}", begin.elapsed() >= Duration::from_millis(250));
    Ok(())
}

/// The policy's limit leaves room for one connection at a time.
fn exhausted_tasks(here: &str) -> io::Result<()> {
    struct One(Upper);
    impl TaskService<TaskConnection> for One {
        async fn handle(&self, one: &mut TaskConnection, server: &Endpoint) -> io::Result<()> {
            self.0.handle(one, server).await
        }

        fn get_request_failed(&self, error: &io::Error, _: &Endpoint) {
            let known = Errno::of(error) == Some(Errno::MFILE);
            println!("full {known}");
        }
    }
    let server = TaskServer::tcp(here, One(Upper::new(2)))?;
    println!("listening on {}", server.endpoint().server_address());
    aio::run(server.serve_forever(LONG));
    println!("most {} at once", server.service().0.most.get());
    Ok(())
}

/// `serve_forever` twice, and once where it was shut down before.
fn twice(here: &str) -> io::Result<()> {
    let mut server = StreamServer::tcp(here, Upper::new(1))?;
    println!("listening on {}", server.endpoint().server_address());
    server.serve_forever(LONG)?;
    println!("first");
    server.service_mut().left.set(1);
    server.serve_forever(LONG)?;
    println!("second");
    server.shutdown_handle().shutdown();
    server.serve_forever(LONG)?;
    println!("third");
    Ok(())
}

/// Turns of `serve_forever` come though nobody does.
fn wait(here: &str) -> io::Result<()> {
    struct Turns(usize);
    impl Service<Connection> for Turns {
        fn handle(&mut self, _: &mut Connection, _: &Endpoint) -> io::Result<()> {
            Ok(())
        }

        fn service_actions(&mut self, server: &Endpoint) {
            self.0 += 1;
            if self.0 == 5 {
                server.shutdown();
            }
        }
    }
    let mut server = StreamServer::tcp(here, Turns(0))?;
    // The socket's own time-out is shorter than the server's here, and then longer.
    server.endpoint_mut().settings.timeout = Some(LONG);
    server
        .endpoint()
        .socket()
        .set_timeout(Duration::from_millis(20));
    let begin = Instant::now();
    server.handle_request()?;
    println!("own {}", begin.elapsed() >= Duration::from_millis(20));
    let begin = Instant::now();
    server.serve_forever(Duration::from_millis(20))?;
    println!("turns {}", begin.elapsed() >= Duration::from_millis(100));
    Ok(())
}
