//! Fetches a page over HTTP and prints it. Follows redirects: under a policy that names a host, one to
//! another host or to a number is refused.
//!
//! ```sh
//! sockgate run --policy examples/policies/http-client.toml \
//!     target/wasm32-wasip2/debug/http-client.wasm http://example.com/
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::create_connection;

fn main() -> ExitCode {
    run(|mut arguments: Arguments| fetch(arguments.word("URL")?))
}

fn fetch(mut url: String) -> io::Result<()> {
    for _ in 0..5 {
        let answer = get(&Url::parse(&url)?).trying(format_args!("get {url}"))?;
        match (answer.status, answer.location) {
            (200..=299, _) => return io::stdout().write_all(&answer.body),
            (300..=399, Some(location)) => {
                eprintln!("redirected to {location}");
                url = location;
            }
            (status, _) => return Err(io::Error::other(format!("get {url}: status {status}"))),
        }
    }
    Err(io::Error::other("too many redirects"))
}

struct Url<'a> {
    /// Host and port as they stand in the URL.
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: no http URL"));
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The last colon, unless it is one within [v6].
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, 80),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            authority,
            host,
            port,
            path: if path.is_empty() { "/" } else { path },
        })
    }
}

struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

fn get(url: &Url<'_>) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut stream = create_connection((url.host, url.port), Some(Duration::from_secs(10)))?;
    let Url {
        path, authority, ..
    } = url;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )?;

    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| broken("the server does not speak HTTP"))?;
    let (mut location, mut length) = (None, None);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(broken("the answer ends within its head"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "location" => location = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().ok(),
            _ => {}
        }
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(broken("the answer is cut short"));
    }
    Ok(Answer {
        status,
        location,
        body,
    })
}
