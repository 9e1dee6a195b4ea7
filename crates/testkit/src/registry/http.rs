use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The most bytes of a request's head.
const MAX_HEAD: u64 = 64 << 10;

/// A request that the registry has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET`
    pub method: String,
    /// With its query.
    pub path: String,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What came along.
    pub body: String,
}

impl Seen {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub fn plain_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query or of a form, as it is written there.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let all = query.split('&').chain(self.body.split('&'));
        all.filter_map(|pair| pair.split_once('=')).find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The next request of a connection; `None` at its end.
    pub(super) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = stream.take(MAX_HEAD);
        let mut line = String::new();
        head.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
        let mut seen = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        };
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => break,
            }
        }
        let length = seen.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        stream.take(length).read_to_string(&mut seen.body)?;
        Ok(Some(seen))
    }
}

/// An answer before it is sent, in the ways that it can be sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) length: Option<u64>,
    pub(super) chunks: Option<usize>,
    pub(super) until_closed: bool,
    pub(super) cut_after: Option<usize>,
    pub(super) stall_after: Option<usize>,
    pub(super) drip: bool,
}

impl Reply {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            length: None,
            chunks: None,
            until_closed: false,
            cut_after: None,
            stall_after: None,
            drip: false,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
    }

    /// Sends it; false if the connection is of no more use.
    pub(super) fn send(&self, stream: &mut TcpStream, with_body: bool) -> io::Result<bool> {
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match (self.chunks, self.until_closed) {
            (Some(_), _) => head += "Transfer-Encoding: chunked\r\n",
            (None, true) => head += "Connection: close\r\n",
            (None, false) => {
                head += &format!("Content-Length: {}\r\n", self.length.unwrap_or(self.body.len() as u64));
            }
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if !with_body {
            return Ok(true);
        }
        let end = [self.cut_after, self.stall_after].into_iter().flatten().min().unwrap_or(usize::MAX);
        let sent = &self.body[..end.min(self.body.len())];
        match self.chunks {
            Some(size) => {
                for chunk in sent.chunks(size.max(1)) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                // A cut behind the last byte is one before the end.
                if end > self.body.len() {
                    stream.write_all(b"0\r\n\r\n")?;
                }
            }
            None if self.drip => sent.iter().try_for_each(|byte| stream.write_all(&[*byte]))?,
            None => stream.write_all(sent)?,
        }
        stream.flush()?;
        if self.stall_after.is_some() {
            // Until whoever waits has had enough.
            let _ = stream.read(&mut [0]);
            return Ok(false);
        }
        Ok(self.cut_after.is_none() && !self.until_closed && self.length.is_none())
    }
}
