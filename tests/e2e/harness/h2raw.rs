//! HTTP/2 frames written by hand, for what no client library would send.

use std::net::SocketAddr;

use super::raw::Client;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A connection that has said hello.
pub(crate) struct H2 {
    pub(crate) client: Client,
    unread: Vec<u8>,
}

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How a stream went.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) data: Vec<u8>,
    /// The code of a RST_STREAM.
    pub(crate) reset: Option<u32>,
    /// The code of a GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// The connection ended.
    pub(crate) closed: bool,
}

impl Answer {
    /// The stream or its connection was ended for an error.
    pub(crate) fn broken_off(&self) -> bool {
        self.reset.or(self.goaway).is_some_and(|code| code != 0) || self.closed
    }
}

// === impl H2 ===

impl H2 {
    /// On the plain port, by prior knowledge.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::hello(Client::connect(addr).await, &[]).await
    }

    /// Says hello with these settings. There is no dynamic table, so a status can be read without one.
    pub(crate) async fn hello(mut client: Client, settings: &[(u16, u32)]) -> Self {
        let mut payload = vec![0, 1, 0, 0, 0, 0];
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        client
            .send([PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat())
            .await;
        Self {
            client,
            unread: Vec::new(),
        }
    }

    /// Sends bytes; an end that has closed meanwhile takes them silently.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes).await;
    }

    /// The next frame; `None` at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.unread.split_at_checked(9) {
                let length =
                    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if rest.len() >= length {
                    let frame = Frame {
                        kind: head[3],
                        flags: head[4],
                        stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
                        payload: rest[..length].to_vec(),
                    };
                    self.unread.drain(..9 + length);
                    return Some(frame);
                }
            }
            let piece = self.client.piece().await;
            if piece.is_empty() {
                return None;
            }
            self.unread.extend(piece);
        }
    }

    /// Reads until this stream has ended, however. Settings are acknowledged on the way.
    pub(crate) async fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        loop {
            let Some(frame) = self.next().await else {
                answer.closed = true;
                return answer;
            };
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    self.send(self::frame(SETTINGS, ACK, 0, &[])).await
                }
                GOAWAY => answer.goaway = Some(code(&frame.payload[4..])),
                _ if frame.stream != stream => {}
                HEADERS => answer.status = answer.status.or_else(|| status(&frame.payload)),
                DATA => answer.data.extend(frame.payload),
                RST_STREAM => {
                    answer.reset = Some(code(&frame.payload));
                    return answer;
                }
                _ => {}
            }
            if frame.stream == stream && ends {
                return answer;
            }
        }
    }

    /// Reads to the connection's end, and says with what code the other end said goodbye.
    pub(crate) async fn goodbye(&mut self) -> Option<u32> {
        let mut goaway = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                goaway = Some(code(&frame.payload[4..]));
            }
        }
        goaway
    }
}

/// The fields of an ordinary request.
pub(crate) fn get(path: &str) -> [(&str, &str); 4] {
    [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "app.localhost"),
        (":path", path),
    ]
}

/// Those of an ordinary request, with some more.
pub(crate) fn get_with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&get("/"), more].concat()
}

/// A header block: each field a literal, without index and without Huffman.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// HEADERS with the whole block.
pub(crate) fn headers(stream: u32, block: &[u8], end: bool) -> Vec<u8> {
    let flags = END_HEADERS | if end { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream, block)
}

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// RFC 7541 §5.1 with a prefix of 7 bits.
fn integer(out: &mut Vec<u8>, mut n: usize) {
    if n < 127 {
        out.push(n as u8);
        return;
    }
    out.push(127);
    n -= 127;
    while n >= 128 {
        out.push((n % 128) as u8 | 128);
        n /= 128;
    }
    out.push(n as u8);
}

fn code(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// The `:status` at the beginning of a block; the static table's, or digits in Huffman's code.
fn status(block: &[u8]) -> Option<u16> {
    let mut block = block;
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [index @ 0x88..=0x8e, ..] => {
            Some([200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)])
        }
        [0x48 | 0x08 | 0x18, length, rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f))?;
            match length & 0x80 {
                0 => std::str::from_utf8(text).ok()?.parse().ok(),
                _ => digits(text),
            }
        }
        _ => None,
    }
}

/// Three digits in Huffman's code: 0, 1, 2 have 5 bits, the others 6.
fn digits(coded: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let mut bits = bits.as_slice();
    let take = |n: usize, bits: &[u8]| {
        bits.get(..n)
            .map(|bits| bits.iter().fold(0, |sum, bit| sum << 1 | u16::from(*bit)))
    };
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match take(5, bits)? {
            short @ 0..=2 => (short, 5),
            _ => (take(6, bits)?.checked_sub(0x16)?, 6),
        };
        number = number * 10 + digit;
        bits = &bits[length..];
    }
    Some(number)
}
