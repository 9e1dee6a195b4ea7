use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Reply, Seen};
use super::{Auth, Fault};

/// A registry in this process, on a free loopback port, that gives the images of an OCI layout under any
/// repository's name, and misbehaves where it is told to.
///
/// What is asked for is told by the last component of the path: a tag, a digest, `token`.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    address: SocketAddr,
    accept: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    layout: PathBuf,
    address: SocketAddr,
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    auth: Auth,
    once: HashMap<String, VecDeque<Vec<Fault>>>,
    always: HashMap<String, Vec<Fault>>,
    tags: HashMap<String, String>,
    seen: Vec<Seen>,
    tokens: Vec<String>,
    issued: usize,
    connections: Vec<TcpStream>,
    handlers: Vec<JoinHandle<()>>,
}

impl Registry {
    /// Serves the layout in a directory, as it is at each request.
    pub fn serve(layout: &Path) -> Self {
        let bound =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.unwrap_or_else(|error| panic!("no free port: {error}"));
        let shared = Arc::new(Shared {
            layout: layout.to_owned(),
            address,
            state: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let accept = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(kept) = stream.try_clone() else { continue };
                let serving = Arc::clone(&accepting);
                let handler = std::thread::spawn(move || serving.connection(stream));
                let mut state = accepting.state();
                state.connections.push(kept);
                state.handlers.push(handler);
            }
        });
        Self { shared, address, accept: Some(accept) }
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `127.0.0.1:PORT/REPOSITORY:TAG`
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.address)
    }

    /// Whom it lets in from now on.
    pub fn auth(&self, auth: Auth) {
        self.shared.state().auth = auth;
    }

    /// The next answer of that name misbehaves so; several wait in line.
    pub fn fault(&self, name: &str, fault: Fault) {
        self.faults(name, vec![fault]);
    }

    /// The next answer of that name misbehaves in all these ways at once.
    pub fn faults(&self, name: &str, faults: Vec<Fault>) {
        self.shared.state().once.entry(name.to_owned()).or_default().push_back(faults);
    }

    /// Every answer of that name misbehaves so, when none waits in line.
    pub fn always(&self, name: &str, faults: Vec<Fault>) {
        self.shared.state().always.insert(name.to_owned(), faults);
    }

    /// The tag stands for that digest from now on.
    pub fn tag(&self, tag: &str, digest: &str) {
        self.shared.state().tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// No token that was given is good any longer.
    pub fn revoke_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// The requests for one thing: a tag, a digest, `token`.
    pub fn seen_of(&self, name: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| last_component(seen) == name).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accept) = self.accept.take() {
            let _ = accept.join();
        }
        let (connections, handlers) = {
            let mut state = self.shared.state();
            (std::mem::take(&mut state.connections), std::mem::take(&mut state.handlers))
        };
        for connection in connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
        for handler in handlers {
            let _ = handler.join();
        }
    }
}

fn last_component(seen: &Seen) -> &str {
    seen.plain_path().rsplit('/').next().unwrap_or_default()
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, stream: TcpStream) {
        let Ok(mut output) = stream.try_clone() else { return };
        // Head and body are written apart, and would wait for each other's acknowledgement.
        let _ = output.set_nodelay(true);
        let mut input = BufReader::new(stream);
        // What begins like this is TLS; others say so, too.
        if input.fill_buf().is_ok_and(|start| start.first() == Some(&0x16)) {
            let _ = output.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
        while let Ok(Some(seen)) = Seen::read(&mut input) {
            let goes_on = self.answer(&seen, &mut output);
            if !goes_on.unwrap_or(false) {
                break;
            }
        }
        let _ = output.shutdown(Shutdown::Both);
    }

    fn answer(&self, seen: &Seen, output: &mut TcpStream) -> std::io::Result<bool> {
        let name = last_component(seen);
        self.state().seen.push(seen.clone());
        // Faults are for those who are let in.
        let refused = self.authorize(seen);
        if let Some(challenge) = refused.as_ref().filter(|reply| reply.status == 401) {
            return challenge.send(output, seen.method != "HEAD");
        }
        let faults = {
            let mut state = self.state();
            let waiting = state.once.get_mut(name).and_then(VecDeque::pop_front);
            waiting.or_else(|| state.always.get(name).cloned()).unwrap_or_default()
        };
        if faults.contains(&Fault::Hangup) {
            return Ok(false);
        }
        if faults.contains(&Fault::Garbage) {
            output.write_all(b"\x00\x01garbage\r\n\r\n\r\n")?;
            return Ok(false);
        }
        let mut reply = refused.unwrap_or_else(|| self.content(seen, name, &faults));
        for fault in &faults {
            apply(fault, seen, &mut reply);
        }
        reply.send(output, seen.method != "HEAD")
    }

    /// The challenge for whoever is not let in; the token server's answer.
    fn authorize(&self, seen: &Seen) -> Option<Reply> {
        let mut state = self.state();
        let authorization = seen.header("authorization");
        let says = |user: &str, password: &str| {
            authorization == Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).as_str())
        };
        let (fits, challenge) = match &state.auth {
            Auth::Anybody => return None,
            Auth::Basic(user, password) => (says(user, password), r#"Basic realm="tests""#.to_owned()),
            Auth::Nobody(challenge) => (false, challenge.clone()),
            Auth::Bearer { user, identity, realm, expires_in, field } => {
                if seen.plain_path() == "/token" {
                    let by_identity = identity.as_deref().is_some_and(|token| {
                        seen.method == "POST" && seen.parameter("refresh_token") == Some(token)
                    });
                    let by_name = match user {
                        Some((user, password)) => says(user, password),
                        None => identity.is_none(),
                    };
                    if !by_identity && !by_name {
                        return Some(error(401));
                    }
                    let mut answer = json!({});
                    let token = format!("secret-token-{}", state.issued);
                    answer[*field] = token.clone().into();
                    if let Some(expires_in) = expires_in {
                        answer["expires_in"] = (*expires_in).into();
                    }
                    state.issued += 1;
                    state.tokens.push(token);
                    return Some(Reply::new(200, answer.to_string().into_bytes()));
                }
                let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
                let good = token.is_some_and(|token| state.tokens.iter().any(|own| own == token));
                let own = format!("http://{}/token", self.address);
                let realm = realm.as_deref().unwrap_or(&own);
                (good, format!(r#"Bearer realm="{realm}",service="tests""#))
            }
        };
        if fits {
            return None;
        }
        let mut reply = error(401);
        reply.set("WWW-Authenticate", challenge);
        Some(reply)
    }

    /// What is asked for, well-behaved but for where the blob's parts are concerned.
    fn content(&self, seen: &Seen, name: &str, faults: &[Fault]) -> Reply {
        if seen.plain_path() == "/v2/" {
            return Reply::new(200, b"{}".to_vec());
        }
        let digest = if name.starts_with("sha256:") { Some(name.to_owned()) } else { self.tagged(name) };
        let blob = digest.as_deref().and_then(|digest| {
            fs::read(self.layout.join("blobs").join(digest.replace(':', "/")))
                .ok()
                .map(|bytes| (digest, bytes))
        });
        let Some((digest, mut bytes)) = blob else { return error(404) };
        let mut reply = Reply::new(200, Vec::new());
        if seen.path.contains("/manifests/") {
            let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            reply.set("Content-Type", parsed["mediaType"].as_str().unwrap_or("application/json"));
            reply.set("Docker-Content-Digest", digest);
        } else if let Some(from) = range_start(seen).filter(|_| !faults.contains(&Fault::IgnoreRange)) {
            let wrong = usize::from(faults.contains(&Fault::WrongRange));
            let from = from.saturating_add(wrong);
            if from >= bytes.len() || faults.contains(&Fault::NotSatisfiable) {
                let mut reply = error(416);
                reply.set("Content-Range", format!("bytes */{}", bytes.len()));
                return reply;
            }
            let total = faults.iter().find_map(|fault| match fault {
                Fault::RangeTotal(total) => Some(*total),
                _ => None,
            });
            let total = total.unwrap_or(bytes.len() as u64);
            reply.status = 206;
            reply.set("Content-Range", format!("bytes {from}-{}/{total}", bytes.len() - 1));
            bytes.drain(..from);
        }
        reply.body = bytes;
        reply
    }

    fn tagged(&self, tag: &str) -> Option<String> {
        if let Some(digest) = self.state().tags.get(tag) {
            return Some(digest.clone());
        }
        let index = fs::read(self.layout.join("index.json")).ok()?;
        let index: Value = serde_json::from_slice(&index).ok()?;
        let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == tag;
        let entry = index["manifests"].as_array()?.iter().find(named)?;
        entry["digest"].as_str().map(str::to_owned)
    }
}

fn range_start(seen: &Seen) -> Option<usize> {
    seen.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

fn error(status: u16) -> Reply {
    let code = match status {
        401 => "UNAUTHORIZED",
        404 => "MANIFEST_UNKNOWN",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    let body = json!({"errors": [{"code": code, "message": "as it was told to say"}]});
    Reply::new(status, body.to_string().into_bytes())
}

fn apply(fault: &Fault, seen: &Seen, reply: &mut Reply) {
    match fault {
        Fault::Status(status) => {
            reply.status = *status;
            reply.body = error(*status).body;
        }
        Fault::Header(name, value) => reply.set(name, value),
        Fault::Body(body) => reply.body.clone_from(body),
        Fault::Huge(size) => reply.body = vec![b' '; usize::try_from(*size).unwrap_or(usize::MAX)],
        Fault::CutAfter(bytes) => reply.cut_after = Some(*bytes),
        Fault::Short(bytes) => reply.body.truncate(*bytes),
        Fault::Length(length) => reply.length = Some(*length),
        Fault::Chunked(size) => reply.chunks = Some(*size),
        Fault::UntilClosed => reply.until_closed = true,
        Fault::Drip => reply.drip = true,
        Fault::StallAfter(bytes) => reply.stall_after = Some(*bytes),
        Fault::Redirect(target) => {
            reply.status = 307;
            reply.body.clear();
            reply.set("Location", target.replace("{}", seen.plain_path()));
        }
        Fault::IgnoreRange | Fault::WrongRange | Fault::RangeTotal(_) | Fault::NotSatisfiable => {}
        Fault::Hangup | Fault::Garbage => {}
    }
}
