//! Takes a connected socket that another program passes over a Unix socket (SCM_RIGHTS), and talks on it.
//! The policy judges it as if this guest had connected it itself.
//!
//! ```sh
//! sockgate run --policy examples/policies/pass-a-socket-to.toml --var port=7007 --var dir=/tmp \
//!     target/wasm32-wasip2/debug/pass-socket-receiver.wasm /tmp/hand-over.sock hello
//! ```

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::UnixListener;

fn main() -> ExitCode {
    run(receive)
}

fn receive(mut arguments: Arguments) -> io::Result<()> {
    let path = arguments.word("UNIX_PATH")?;
    let message = arguments.next_word().unwrap_or_else(|| "hello".to_owned());
    let listener = UnixListener::bind(&path).trying(format_args!("listen on {path}"))?;
    println!("listening on unix {}", listener.local_addr()?);

    let (sender, _) = listener.accept().trying("accept")?;
    let mut letter = sender.as_ref().recv_handles(1024, 1).trying("receive")?;
    println!("the sender says: {}", String::from_utf8_lossy(&letter.data));
    let Some(connection) = letter.take_sockets().pop() else {
        let text = "no socket came: none was sent, or the policy does not let it in";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    };
    println!("got a connection to {}", connection.peer_address()?);
    connection.send_all(message.as_bytes()).trying("send")?;
    let answer = connection.recv_vec(4096).trying("receive")?;
    println!("answer: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
