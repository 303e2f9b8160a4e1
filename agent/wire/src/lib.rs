//! The protocol between Adit's agents and its gateway.
//!
//! An agent dials the gateway over TLS 1.3, greets it, and both then share the connection as a
//! *lane*: a multiplexed set of byte streams. The first stream is the control stream; every other
//! one is opened by the gateway and carries the bytes of one connection to a service.
//! `PROTOCOL.md` beside this crate has the
//! messages in order, the bytes, the limits and the timeouts.
//!
//! This crate knows neither sockets nor TLS: everything is generic over
//! [`AsyncRead`](tokio::io::AsyncRead) and [`AsyncWrite`](tokio::io::AsyncWrite).
//!
//! - [`message`]: what is said
//! - [`frame`]: how a message is cut out of a byte stream
//! - [`Lane`], [`Incoming`], [`Driver`]: a connection that carries many streams
//! - [`Stream`]: one of them
//! - [`splice`](fn@splice): a stream joined with a connection outside the tunnel
//! - [`control`](fn@control): the control stream with its heartbeat
//! - [`limits`]: the numbers
//!
//! ```
//! use adit_wire::{Side, frame, lane, message::{OpenRequest, OpenResult}};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(64 * 1024);
//! let (gateway, _, drive) = lane(near, Side::Gateway);
//! tokio::spawn(drive);
//! let (_agent, mut incoming, drive) = lane(far, Side::Agent);
//! tokio::spawn(drive);
//!
//! let mut stream = gateway.open().await?;
//! frame::write(&mut stream, &OpenRequest { endpoint: 7, protocol: Default::default() }, 4096).await?;
//! let mut seen = incoming.accept().await.ok_or("the lane ended")?;
//! assert_eq!(frame::read::<OpenRequest, _>(&mut seen, 4096).await?.endpoint, 7);
//! frame::write(&mut seen, &OpenResult::Dialing, 4096).await?;
//! # Ok(()) }
//! ```

mod buffered;
mod control;
pub mod frame;
mod lane;
pub mod limits;
pub mod message;
mod splice;
mod stream;

pub use control::{ControlEnd, Nothing, Pulse, control};
pub use frame::FrameError;
pub use lane::{Driver, Incoming, Lane, LaneError, OpenError, Side, lane};
pub use splice::{Breakable, splice};
pub use stream::Stream;
