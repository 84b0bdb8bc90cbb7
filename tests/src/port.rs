//! Free TCP ports on loopback for servers that must know their port before they start.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Below the range that Linux hands out to outgoing connections, so that a port found here is not
/// taken by somebody's client while a server is being restarted on it.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on at this moment. Another process may still take it: whoever starts
/// a server on it for the first time tries again with another one.
///
/// # Errors
/// When a hundred ports in a row are taken.
pub fn free() -> Result<u16> {
    (0..100)
        .map(|_| fastrand::u16(RANGE))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port found on 127.0.0.1")
}
