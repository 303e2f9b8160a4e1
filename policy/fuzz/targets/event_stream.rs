//! Any event stream: what nobody changes leaves as it came, wherever it is cut; what is changed is what a client reads.
#![no_main]

use adit_policy::body::sse::EventStream;
use adit_policy::body::{Message, Transform};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], u8)| {
    let (body, cut) = parts;
    let (first, second) = body.split_at(usize::from(cut).min(body.len()));
    assert_eq!(&through(&[first, second], |_| {})[..], body);
    through(&[first, second], |message| message.data = Some("two\nlines".to_owned()));
});

fn through(pieces: &[&[u8]], change: fn(&mut Message)) -> BytesMut {
    let mut stream = EventStream::new(|message: &mut Message| {
        change(message);
        Ok(())
    });
    let mut out = BytesMut::new();
    for piece in pieces {
        stream.push(piece, &mut out).expect("a message is small");
    }
    stream.end(&mut out).expect("a message is small");
    out
}
