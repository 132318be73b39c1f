//! The chunked transfer coding: the data, and where it ends.

/// A chunk-size line, or all trailers together, may have this many bytes.
const MAX_LINE: u32 = 16 * 1024;

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    part: Part,
    /// Of the chunk being read, or named by the size line so far.
    size: u64,
    digits: u32,
    /// Bytes of the line being read.
    line: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    /// The rest of a size line, which says nothing to us.
    Extension,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer's line.
    TrailerStart,
    Trailer,
    LastLf,
}

impl Chunked {
    /// Takes what has arrived: how many bytes are left over after the body's end, or `None` when
    /// more must come.
    /// `data` is given the chunks' data.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<Option<usize>, ()> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.part == Part::Data {
                let taken = self.size.min(bytes.len() as u64);
                self.size -= taken;
                let (taken, rest) = bytes.split_at(taken as usize);
                data(taken);
                bytes = rest;
                if self.size == 0 {
                    self.part = Part::DataCr;
                }
                continue;
            }
            bytes = rest;
            self.line += 1;
            if self.line > MAX_LINE {
                return Err(());
            }
            if self.step(byte)? {
                return Ok(Some(bytes.len()));
            }
        }
        Ok(None)
    }

    /// Takes a byte of the framing; true at the body's end.
    fn step(&mut self, byte: u8) -> Result<bool, ()> {
        self.part = match (self.part, byte) {
            (Part::Size, digit) if digit.is_ascii_hexdigit() => self.digit(digit)?,
            (Part::Size | Part::Extension, b'\n') if self.digits > 0 => self.size_line_end(),
            (Part::Size, b';' | b' ' | b'\t' | b'\r') if self.digits > 0 => Part::Extension,
            (Part::Extension, _) => Part::Extension,
            (Part::DataCr, b'\r') => Part::DataLf,
            (Part::DataCr | Part::DataLf, b'\n') => {
                (self.line, self.digits) = (0, 0);
                Part::Size
            }
            (Part::TrailerStart, b'\r') => Part::LastLf,
            (Part::TrailerStart | Part::LastLf, b'\n') => return Ok(true),
            (Part::Trailer, b'\n') => Part::TrailerStart,
            (Part::TrailerStart | Part::Trailer, _) => Part::Trailer,
            _ => return Err(()),
        };
        Ok(false)
    }

    fn digit(&mut self, digit: u8) -> Result<Part, ()> {
        self.digits += 1;
        if self.digits > 15 {
            return Err(());
        }
        self.size = self.size * 16 + u64::from((digit as char).to_digit(16).ok_or(())?);
        Ok(Part::Size)
    }

    fn size_line_end(&mut self) -> Part {
        self.line = 0;
        if self.size == 0 { Part::TrailerStart } else { Part::Data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(chunked: &mut Chunked, bytes: &[u8]) -> Result<Option<usize>, ()> {
        chunked.push(bytes, |_| ())
    }

    #[test]
    fn left_over_bytes_are_counted() {
        assert_eq!(push(&mut Chunked::default(), b"1\r\nx\r\n0\r\n\r\nrest"), Ok(Some(4)));
        assert_eq!(push(&mut Chunked::default(), b"1\nx\n0\n\n"), Ok(Some(0)));
        assert_eq!(push(&mut Chunked::default(), b"1\r\nx\r\n0\r\n"), Ok(None));
    }

    #[test]
    fn endless_framing_is_bounded() {
        let mut chunked = Chunked::default();
        assert_eq!(push(&mut chunked, b"1;"), Ok(None));
        assert_eq!(push(&mut chunked, &[b'x'; MAX_LINE as usize]), Err(()));
        let mut trailers = Chunked::default();
        assert_eq!(push(&mut trailers, b"0\r\n"), Ok(None));
        assert_eq!(push(&mut trailers, "X: y\r\n".repeat(10_000).as_bytes()), Err(()));
    }

    #[test]
    fn a_size_without_digits_is_an_error() {
        assert_eq!(push(&mut Chunked::default(), b"\r\n"), Err(()));
        assert_eq!(push(&mut Chunked::default(), b";x\r\n"), Err(()));
    }
}
