use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use offshoot_oci::media_type;
use offshoot_store::Digest;

use crate::parts::replaced;

/// More requests than any input should lead to: from then on, connections are closed.
const MOST_REQUESTS: usize = 60;

/// What the registry answers.
#[derive(Default)]
pub(super) struct Script {
    blobs: HashMap<String, Vec<u8>>,
    manifest: Vec<u8>,
    /// Sent as they are, one a request, before anything else is.
    answers: VecDeque<Vec<u8>>,
    requests: usize,
}

impl Script {
    pub(super) fn new(documents: Vec<Vec<u8>>, manifest: Vec<u8>, answers: VecDeque<Vec<u8>>) -> Self {
        let with_digest = documents.into_iter().chain([manifest.clone()]);
        let blobs = with_digest.map(|document| (Digest::of(&document).to_string(), document)).collect();
        Self { blobs, manifest, answers, requests: 0 }
    }

    /// All bytes of the next answer. `told` is what the client wants to be believed by.
    fn answer(&mut self, path: &str, offset: Option<usize>, told: &str) -> Vec<u8> {
        self.requests += 1;
        assert!(self.requests < 2 * MOST_REQUESTS, "there is no end of requests: {path}");
        if self.requests > MOST_REQUESTS {
            return Vec::new();
        }
        if let Some(answer) = self.answers.pop_front() {
            return replaced(&answer, b"$TOLD", told.as_bytes());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let body = match self.blobs.get(name) {
            Some(blob) => blob,
            None if path.contains("/manifests/") => &self.manifest,
            None if path.contains("/token") => &br#"{"token":"abc"}"#.to_vec(),
            None => {
                return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
            }
        };
        let kind = if body.windows(11).any(|word| word == b"\"manifests\"") {
            media_type::OCI_INDEX
        } else {
            media_type::OCI_MANIFEST
        };
        let (status, range, rest) = match offset.and_then(|offset| Some((offset, body.get(offset..)?))) {
            Some((offset, rest)) => {
                let last = body.len().saturating_sub(1);
                (
                    "206 Partial Content",
                    format!("Content-Range: bytes {offset}-{last}/{}\r\n", body.len()),
                    rest,
                )
            }
            None => ("200 OK", String::new(), &body[..]),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        [head.as_bytes(), rest].concat()
    }
}

/// The script that is played now; one run has it at a time.
static SCRIPT: Mutex<Option<Script>> = Mutex::new(None);
static TURN: Mutex<()> = Mutex::new(());

/// A run's turn: while it lasts, its script is played.
pub(super) struct Playing {
    _turn: MutexGuard<'static, ()>,
}

pub(super) fn play(script: Script) -> Playing {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    *SCRIPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
    Playing { _turn: turn }
}

/// Where the registry listens, from the first question on.
pub(super) fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that breaks is the client's business.
                let _ = serve(stream);
            }
        });
        address
    })
}

/// One request and its answer, then the end.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(1 << 20));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let (mut offset, mut length, mut told) = (None, 0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value.trim().strip_prefix("bytes=").and_then(|range| range.split('-').next());
                offset = start.and_then(|start| start.parse().ok());
            }
            "authorization" => value.trim().clone_into(&mut told),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let answer = match &mut *SCRIPT.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(script) => script.answer(&path, offset, &told),
        None => Vec::new(),
    };
    stream.write_all(&answer)
}
