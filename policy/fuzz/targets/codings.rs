//! Any bytes: decoding ends and stays within its bound; what was encoded comes back.
#![no_main]

use adit_policy::body::coding::Coding;
use adit_policy::body::compress::Compress;
use adit_policy::body::decode::Decode;
use adit_policy::body::{BodyFault, Transform};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const CAP: usize = 1 << 18;

fuzz_target!(|body: &[u8]| {
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Br] {
        let mut decoded = BytesMut::new();
        if let Some(mut decode) = Decode::new(coding, CAP) {
            let outcome = run(&mut decode, body, &mut decoded);
            assert!(decoded.len() <= CAP || outcome == Err(BodyFault::TooLarge));
        }
        let mut encoded = BytesMut::new();
        let mut compress = Compress::new(coding).expect("an encoder");
        run(&mut compress, body, &mut encoded).expect("everything can be encoded");
        if let Some(mut decode) = Decode::new(coding, CAP.max(body.len())) {
            let mut back = BytesMut::new();
            run(&mut decode, &encoded, &mut back).expect("what was encoded can be decoded");
            assert_eq!(&back[..], body);
        }
    }
});

fn run(transform: &mut dyn Transform, body: &[u8], out: &mut BytesMut) -> Result<(), BodyFault> {
    let (first, second) = body.split_at(body.len() / 2);
    transform.push(first, out)?;
    transform.push(second, out)?;
    transform.end(out)
}
