//! Answers over HTTP: whole ones, and ones that go on with a line of JSON for every event.

use reqwest::Response;

/// A ConfigMap is at most 1 MiB, a value of etcd 1.5 MiB by default; JSON and Base64 make more of them.
const MAX_ANSWER: usize = 16 << 20;

/// Reads a whole answer. Errors are in words, without the URL.
pub(super) async fn whole(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(cause)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("an answer of more than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The lines of an answer, as they come.
#[derive(Debug)]
pub(super) struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// So many bytes of the buffer hold no end of a line.
    looked_at: usize,
}

impl Lines {
    pub(super) fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new(), looked_at: 0 }
    }

    /// The next line without its end; `None` when the answer has ended. Nothing is lost when this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(line) = take_line(&mut self.buffer, &mut self.looked_at) {
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(format!("a line of more than {MAX_ANSWER} bytes"));
            }
            match self.response.chunk().await.map_err(cause)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                // The last line has no end.
                None => {
                    self.looked_at = 0;
                    return Ok(Some(std::mem::take(&mut self.buffer)));
                }
            }
        }
    }
}

fn take_line(buffer: &mut Vec<u8>, looked_at: &mut usize) -> Option<Vec<u8>> {
    let Some(at) = buffer[*looked_at..].iter().position(|byte| *byte == b'\n') else {
        *looked_at = buffer.len();
        return None;
    };
    let rest = buffer.split_off(*looked_at + at + 1);
    let mut line = std::mem::replace(buffer, rest);
    line.pop();
    *looked_at = 0;
    Some(line)
}

/// What went wrong in the end, without the URL.
pub(super) fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::take_line;

    #[test]
    fn lines_come_in_any_portions() {
        let (mut buffer, mut looked_at, mut lines) = (Vec::new(), 0, Vec::new());
        for portion in ["{\"a\"", ":1}\n{", "}\n\n", "rest"] {
            buffer.extend_from_slice(portion.as_bytes());
            while let Some(line) = take_line(&mut buffer, &mut looked_at) {
                lines.push(String::from_utf8(line).unwrap());
            }
        }
        assert_eq!(
            (lines.as_slice(), buffer.as_slice()),
            (["{\"a\":1}", "{}", ""].map(String::from).as_slice(), b"rest".as_slice())
        );
    }
}
