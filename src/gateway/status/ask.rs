//! One question to the admin API: it answers a request and closes, so a socket is enough of a client.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use adit_gateway::api::Problem;
use serde::de::DeserializeOwned;

use super::access::Access;
use crate::{exit::Failure, printable::printable};

/// The longest wait for a connection, and for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer; more is not read.
const MOST: u64 = 16 << 20;

/// Asks for a path.
pub(super) fn ask<T: DeserializeOwned>(access: &Access, path: &str) -> Result<T, Failure> {
    let silent = |error: &dyn std::fmt::Display| {
        Failure::mistake(format_args!(
            "nothing answers at {}: {error}; is the gateway running, with `listen.api` at this address?",
            access.address
        ))
    };
    let answer = exchange(access, path).map_err(|error| silent(&error))?;
    let strange = || {
        Failure::mistake(format_args!(
            "what answers at {} is not the admin API of a gateway",
            access.address
        ))
    };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return serde_json::from_str(body).map_err(|_| strange());
    }
    let problem: Problem = serde_json::from_str(body).map_err(|_| strange())?;
    Err(Failure::mistake(format_args!(
        "{} refuses: {} ({})",
        access.address,
        printable(&problem.msg),
        printable(&problem.error_code)
    )))
}

fn exchange(access: &Access, path: &str) -> std::io::Result<String> {
    let mut last = None;
    for address in access.address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return speak(stream, access, path),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
}

/// HTTP/1.0, so that the answer comes in one piece and ends with the connection.
fn speak(mut stream: TcpStream, access: &Access, path: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        access.address,
        access.token.expose()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}
