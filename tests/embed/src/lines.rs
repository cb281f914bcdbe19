//! A guest's standard output, line by line, with the moment of each.

use std::io;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// One line of a guest.
#[derive(Clone, Debug)]
pub struct Line {
    /// The text, without its end.
    pub text: String,
    /// When the guest wrote it.
    pub at: Instant,
}

/// Where a guest writes: it never waits, so that a guest that waits waits for a socket.
#[derive(Clone)]
pub(crate) struct Lines {
    part: Arc<Mutex<Vec<u8>>>,
    whole: Sender<Line>,
}

impl Lines {
    pub(crate) fn new() -> (Lines, Receiver<Line>) {
        let (whole, lines) = channel();
        let part = Arc::default();
        (Lines { part, whole }, lines)
    }

    fn take(&self, bytes: &[u8]) {
        let at = Instant::now();
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte == b'\n' {
                let text = String::from_utf8_lossy(&part).into_owned();
                part.clear();
                // A test that has seen enough hangs up; the guest need not know.
                let _ = self.whole.send(Line { text, at });
            } else {
                part.push(byte);
            }
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(1 << 16)
    }
}
