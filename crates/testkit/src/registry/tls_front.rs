use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::TestCertificate;

/// HTTPS before a registry that speaks HTTP: each connection is for one request, which is handed on.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    introduced: Arc<Mutex<Vec<bool>>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsFront {
    /// Before the registry at `HOST:PORT`.
    pub fn before(host: &str, certificate: &TestCertificate) -> Self {
        let config = config(certificate).unwrap_or_else(|error| panic!("no TLS: {error}"));
        let bound =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.unwrap_or_else(|error| panic!("no free port: {error}"));
        let (stop, introduced) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, seen, host) = (Arc::clone(&stop), Arc::clone(&introduced), host.to_owned());
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // Who hangs up in the middle, hangs up.
                let _ = hand_on(client, &config, &host, &seen);
            }
        });
        Self { address, stop, introduced, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// For each request, whether its sender showed a certificate of its own.
    pub fn introduced(&self) -> Vec<bool> {
        self.introduced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(certificate: &TestCertificate) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate.file("ca.crt"))?)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain = vec![CertificateDer::from_pem_file(certificate.file("server.crt"))?];
    let key = PrivateKeyDer::from_pem_file(certificate.file("server.key"))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.allow_unauthenticated().build()?)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn hand_on(
    client: TcpStream,
    config: &Arc<ServerConfig>,
    host: &str,
    introduced: &Mutex<Vec<bool>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let connection = ServerConnection::new(Arc::clone(config))?;
    let mut client = BufReader::new(StreamOwned::new(connection, client));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let shown = client.get_ref().conn.peer_certificates().is_some();
    introduced.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
    let mut server = TcpStream::connect(host)?;
    server.write_all(head.as_bytes())?;
    // So it ends when it has answered.
    server.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let client = client.get_mut();
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()?;
    Ok(())
}
