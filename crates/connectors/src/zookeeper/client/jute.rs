//! ZooKeeper's way to write numbers, texts and bytes: big-endian, with lengths in front, -1 for none.

use super::error::{Result, WireError};

/// Where a request's own number stands in its frame.
const XID_AT: usize = 4;
/// And its operation.
const OPERATION_AT: usize = 8;

/// Writes one frame.
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// A frame without a header.
    pub(super) fn bare() -> Encoder {
        Encoder { bytes: vec![0; 4] }
    }

    /// A request; its number comes later ([`number`]).
    pub(super) fn request(operation: i32) -> Encoder {
        let mut encoder = Encoder { bytes: Vec::with_capacity(64) };
        encoder.bytes.resize(XID_AT + 4, 0);
        encoder.int(operation);
        encoder
    }

    pub(super) fn int(&mut self, value: i32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn long(&mut self, value: i64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn flag(&mut self, value: bool) -> &mut Self {
        self.bytes.push(u8::from(value));
        self
    }

    /// Bytes or text. What is longer than a frame can be is cut off, since no frame of that length is sent.
    pub(super) fn buffer(&mut self, value: &[u8]) -> &mut Self {
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.int(length);
        self.bytes.extend_from_slice(&value[..usize::try_from(length).unwrap_or(0)]);
        self
    }

    /// Bytes, or none at all.
    pub(super) fn buffer_if_any(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.buffer(value),
            None => self.int(-1),
        }
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.buffer(value.as_bytes())
    }

    /// Two texts as one.
    pub(super) fn path(&mut self, front: &str, path: &str) -> &mut Self {
        let path = if path == "/" && !front.is_empty() { "" } else { path };
        self.int(i32::try_from(front.len() + path.len()).unwrap_or(i32::MAX));
        self.bytes.extend_from_slice(front.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self
    }

    /// The frame, with its length in front.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = i32::try_from(self.bytes.len() - 4).unwrap_or(i32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Gives a request its number.
pub(super) fn number(frame: &mut [u8], xid: i32) {
    if let Some(place) = frame.get_mut(XID_AT..XID_AT + 4) {
        place.copy_from_slice(&xid.to_be_bytes());
    }
}

/// The operation of a request.
pub(super) fn operation(frame: &[u8]) -> i32 {
    frame.get(OPERATION_AT..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// Reads one frame's body.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    /// How much is left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| WireError::Protocol("an answer that is too short".into()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| WireError::Protocol("an answer that is too short".into()))
    }

    pub(super) fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.array::<1>()?[0] != 0)
    }

    /// Bytes; none at all read as empty.
    pub(super) fn buffer(&mut self) -> Result<&'a [u8]> {
        Ok(self.buffer_if_any()?.unwrap_or_default())
    }

    /// Bytes, or none at all.
    pub(super) fn buffer_if_any(&mut self) -> Result<Option<&'a [u8]>> {
        let length = self.int()?;
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }

    pub(super) fn text(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.buffer()?).into_owned())
    }

    /// A list of what `read` reads.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::try_from(self.int()?).unwrap_or(0);
        // A count that lies must not make us reserve memory for it.
        let mut found = Vec::with_capacity(count.min(self.left()));
        for _ in 0..count {
            found.push(read(self)?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mut encoder = Encoder::bare();
        encoder
            .buffer_if_any(None)
            .buffer_if_any(Some(b""))
            .int(-7)
            .long(1 << 40)
            .flag(true)
            .buffer(b"\x00\x01")
            .text("ä")
            .path("/root", "/a")
            .path("/root", "/");
        let frame = encoder.finish();
        assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
        let mut decoder = Decoder::new(&frame[4..]);
        assert_eq!(decoder.buffer_if_any().unwrap(), None);
        assert_eq!(decoder.buffer_if_any().unwrap(), Some(&b""[..]));
        assert_eq!(decoder.int().unwrap(), -7);
        assert_eq!(decoder.long().unwrap(), 1 << 40);
        assert!(decoder.flag().unwrap());
        assert_eq!(decoder.buffer().unwrap(), b"\x00\x01");
        assert_eq!(decoder.text().unwrap(), "ä");
        assert_eq!(decoder.text().unwrap(), "/root/a");
        assert_eq!(decoder.text().unwrap(), "/root");
        assert_eq!(decoder.left(), 0);
        assert!(decoder.int().is_err());
    }

    #[test]
    fn none_is_empty_and_lies_cost_nothing() {
        assert_eq!(Decoder::new(&(-1i32).to_be_bytes()).buffer().unwrap(), b"");
        assert!(Decoder::new(&i32::MAX.to_be_bytes()).buffer().is_err());
        assert!(Decoder::new(&i32::MAX.to_be_bytes()).list(|d| d.int()).is_err());
    }

    #[test]
    fn numbers_a_request() {
        let mut frame = Encoder::request(11).finish();
        number(&mut frame, 42);
        assert_eq!(frame, [0, 0, 0, 8, 0, 0, 0, 42, 0, 0, 0, 11]);
        assert_eq!((operation(&frame), operation(&[0; 3])), (11, 0));
    }
}
