use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A link of limited speed to a server on this machine: all connections share it.
#[derive(Debug)]
pub(super) struct Throttle {
    host: String,
}

/// When the next byte may pass.
struct Link {
    bytes_per_second: f64,
    free_at: Instant,
}

impl Throttle {
    /// Listens until the process ends.
    pub(super) fn before(server: &str, bytes_per_second: f64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let link = Arc::new(Mutex::new(Link { bytes_per_second, free_at: Instant::now() }));
        let server = server.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), upstream.try_clone()) else { continue };
                std::thread::spawn(move || copy(from, to, None));
                let link = Arc::clone(&link);
                std::thread::spawn(move || copy(upstream, client, Some(&link)));
            }
        });
        Ok(Self { host })
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, link: Option<&Mutex<Link>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        if let Some(link) = link {
            std::thread::sleep(wait(link, count));
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// How long the sender of these bytes has to wait until they are through.
fn wait(link: &Mutex<Link>, bytes: usize) -> Duration {
    let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let through = Duration::from_secs_f64(bytes as f64 / link.bytes_per_second);
    link.free_at = link.free_at.max(now) + through;
    link.free_at - now
}
