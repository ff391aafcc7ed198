//! One connection's bytes. Who connects and says nothing, or asks and doesn't read the answer, is cut off: hyper waits
//! for both without a limit.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// How long a peer may take to say which protocol it speaks.
const GREETING_TIME: Duration = Duration::from_secs(5);
/// That takes so many bytes: the preface of HTTP/2 (RFC 9113 §3.4). No request of HTTP/1.1 with a host is shorter.
const GREETING_BYTES: usize = 24;
/// How long a peer may let the bytes that are due to it wait.
const STALL_TIME: Duration = Duration::from_secs(30);

/// A connection that must be used.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Bytes of the greeting that are missing, and until when; `None` once it is said.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// Since when the peer takes nothing; `None` while it does.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, greeting: Some((GREETING_BYTES, Box::pin(sleep(GREETING_TIME)))), stall: None }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), cx) {
            self.stall = None;
            return Poll::Ready(written);
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_TIME)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some((missing, deadline)) = &mut self.greeting else { return read };
        match read {
            Poll::Ready(result) => {
                *missing = missing.saturating_sub(buf.filled().len() - before);
                if *missing == 0 {
                    self.greeting = None;
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    async fn pair() -> (TcpStream, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Wire::new(listener.accept().await.unwrap().0))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (_client, mut wire) = pair().await;
        let started = Instant::now();
        let error = loop {
            if let Err(error) = wire.write_all(&[0; 65536]).await {
                break error;
            }
        };
        assert_eq!(error.to_string(), "the peer reads nothing");
        assert!(started.elapsed() >= STALL_TIME, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_greeting_has_to_come_soon() {
        let (mut client, mut wire) = pair().await;
        client.write_all(&[0; GREETING_BYTES]).await.unwrap();
        wire.read_exact(&mut [0; GREETING_BYTES]).await.unwrap();
        let later = tokio::time::timeout(GREETING_TIME * 10, wire.read_u8()).await;
        assert!(later.is_err(), "still waiting: {later:?}");

        let (mut client, mut wire) = pair().await;
        client.write_all(&[0; GREETING_BYTES - 1]).await.unwrap();
        let error = wire.read_exact(&mut [0; GREETING_BYTES]).await.unwrap_err();
        assert_eq!(error.to_string(), "the peer says nothing");
    }
}
