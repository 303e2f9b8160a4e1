//! WebSocket frames as they pass, to know where a word of the gateway's own may stand between them (RFC 6455 §5.2).

/// Follows the frames of one side. Knows nothing of what they hold.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The frame's first bytes, as far as they were seen: two, up to eight of length, and four of a mask.
    head: [u8; 14],
    seen: usize,
    /// Bytes of the frame's contents that are still to come.
    left: u64,
    /// A close frame has passed: nothing may follow.
    closed: bool,
}

const CLOSE: u8 = 8;

/// The code of a connection whose server goes away (RFC 6455 §7.4.1).
pub(super) const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// The code of a connection that is closed by a policy.
pub(super) const POLICY_VIOLATION: [u8; 2] = 1008_u16.to_be_bytes();

/// The longest reason that a close frame has room for.
const REASON: usize = 123;

/// A server's close frame.
pub(super) fn close_frame(code: [u8; 2], reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes();
    let reason = reason.get(..REASON).unwrap_or(reason);
    let length = u8::try_from(code.len() + reason.len()).unwrap_or_default();
    [&[0x80 | CLOSE, length], code.as_slice(), reason].concat()
}

// === impl Frames ===

impl Frames {
    /// Takes note of the next bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let now =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= now as u64;
                bytes = bytes.get(now..).unwrap_or_default();
                continue;
            }
            let (Some((first, rest)), Some(place)) =
                (bytes.split_first(), self.head.get_mut(self.seen))
            else {
                return;
            };
            *place = *first;
            self.seen += 1;
            bytes = rest;
            if let Some(length) = self.length() {
                self.closed |= self.head[0] & 0x0f == CLOSE;
                self.left = length;
                self.seen = 0;
            }
        }
    }

    /// Whether a frame may follow now.
    pub(super) fn is_between(&self) -> bool {
        self.seen == 0 && self.left == 0 && !self.closed
    }

    /// How long the frame's contents are, once its head is there.
    fn length(&self) -> Option<u64> {
        let head = self.head.get(..self.seen)?;
        let second = *head.get(1)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (wide, short) = match second & 0x7f {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(u64::from(short))),
        };
        if self.seen < 2 + wide + mask {
            return None;
        }
        let long = || head.get(2..2 + wide).unwrap_or_default().iter();
        Some(short.unwrap_or_else(|| long().fold(0, |length, byte| length << 8 | u64::from(*byte))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = match length {
            0..126 => vec![0x82, length as u8],
            126..65536 => [&[0x82, 126][..], &(length as u16).to_be_bytes()].concat(),
            _ => [&[0x82, 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        // Contents that look like heads.
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn a_word_may_stand_between_frames_and_nowhere_else() {
        let all: Vec<_> = [0, 1, 125, 126, 300, 70_000].map(frame).concat();
        let mut ends = Vec::new();
        for length in [0, 1, 125, 126, 300, 70_000] {
            ends.push(ends.last().copied().unwrap_or(0) + frame(length).len());
        }
        for step in [1, 7, 4096] {
            let (mut frames, mut at) = (Frames::default(), 0);
            for piece in all.chunks(step) {
                frames.pass(piece);
                at += piece.len();
                assert_eq!(frames.is_between(), ends.contains(&at), "at {at}");
            }
        }
    }

    #[test]
    fn masks_count_and_nothing_follows_a_close_frame() {
        let mut frames = Frames::default();
        frames.pass(&[0x81, 0x82, 1, 2, 3, 4, 5]);
        assert!(!frames.is_between());
        frames.pass(&[6]);
        assert!(frames.is_between());
        frames.pass(&close_frame(POLICY_VIOLATION, "policy changed"));
        assert!(!frames.is_between());
    }

    #[test]
    fn a_close_frame_has_its_code_and_its_reason() {
        assert_eq!(
            close_frame(POLICY_VIOLATION, "x"),
            [0x88, 3, 0x03, 0xf0, b'x']
        );
        assert_eq!(close_frame(GOING_AWAY, &"x".repeat(200)).len(), 127);
    }
}
