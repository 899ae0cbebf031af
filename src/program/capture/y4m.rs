//! YUV4MPEG: uncompressed video in a pipe.
//!
//! In: 8-bit planes in 4:2:0, 4:2:2, 4:4:4 or grey, BT.601 in the limited range (16..=235) unless the header says full
//! range. Out: RGB frames with times at the rate in the header. Damage is an error that names the frame.

use super::{CaptureError, Source};
use crate::runtime::image::yuv::{Range, Yuv};
use crate::runtime::image::{Frame, MOST_PIXELS};
use crate::runtime::simd::Isa;
use std::io::Read;

/// Length limit of a header line in bytes; real ones have under 100.
const MAX_LINE_LENGTH: usize = 4096;

pub(super) struct Reader<R> {
    input: R,
    name: String,
    width: usize,
    height: usize,
    /// Horizontal and vertical pixels per chroma sample; `None` for grey.
    chroma: Option<(usize, usize)>,
    range: Range,
    frames_per_second: f64,
    count: u64,
    planes: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub fn new(mut input: R, name: &str) -> Result<Self, CaptureError> {
        let bad = |reason: String| CaptureError::Y4m { name: name.to_owned(), frame: 0, reason };
        let line = read_line(&mut input).map_err(|e| bad(e.to_string()))?;
        let line = line.ok_or_else(|| bad("it is empty".into()))?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(bad("it does not begin with YUV4MPEG2".into()));
        }
        let (mut width, mut height, mut rate, mut chroma) = (0_usize, 0_usize, 25.0, Some((2, 2)));
        let mut range = Range::Limited;
        for word in words {
            let Some(tag) = word.chars().next() else { continue };
            let value = &word[tag.len_utf8()..];
            match tag {
                'W' => width = value.parse().map_err(|e| bad(format!("width {value}: {e}")))?,
                'H' => height = value.parse().map_err(|e| bad(format!("height {value}: {e}")))?,
                'F' => {
                    let (n, d) = value.split_once(':').unwrap_or((value, "1"));
                    if let (Ok(n), Ok(d)) = (n.parse::<f64>(), d.parse::<f64>())
                        && n > 0.0
                        && d > 0.0
                    {
                        rate = n / d;
                    }
                }
                'C' => {
                    chroma = match value {
                        "mono" => None,
                        "422" => Some((2, 1)),
                        "444" => Some((1, 1)),
                        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some((2, 2)),
                        other => {
                            return Err(bad(format!(
                                "its colour format {other} is not supported; 8-bit 420, 422, 444 and mono are"
                            )));
                        }
                    };
                }
                'X' if value == "COLORRANGE=FULL" => range = Range::Full,
                _ => {}
            }
        }
        if width == 0 || height == 0 || width.saturating_mul(height) > MOST_PIXELS {
            return Err(bad(format!("{width}x{height} is not a valid frame size")));
        }
        let samples = chroma.map_or(0, |(x, y)| 2 * width.div_ceil(x) * height.div_ceil(y));
        let planes = vec![0; width * height + samples];
        Ok(Self {
            input,
            name: name.to_owned(),
            width,
            height,
            chroma,
            range,
            frames_per_second: rate,
            count: 0,
            planes,
        })
    }

    fn convert(&self, frame: &mut Frame) {
        let &Self { width, height, .. } = self;
        frame.resize(width, height);
        let yuv = match self.chroma {
            Some((across, down)) => Yuv::Planes { bytes: &self.planes, across, down },
            None => Yuv::Grey { bytes: &self.planes, stride: width },
        };
        let converted = yuv.to_rgb(Isa::active(), width, height, self.range, frame.rgb_mut());
        debug_assert!(converted, "the planes were made for this size");
    }
}

/// A line without its end; `None` at the end of the input.
fn read_line(input: &mut impl Read) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if input.read(&mut byte)? == 0 {
            return if line.is_empty() { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
        if byte[0] == b'\n' {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        line.push(byte[0]);
        if line.len() > MAX_LINE_LENGTH {
            return Err(std::io::Error::other("a header line does not end"));
        }
    }
}

impl<R: Read + Send> Source for Reader<R> {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        let (name, number) = (self.name.clone(), self.count);
        let bad = |reason: String| CaptureError::Y4m { name: name.clone(), frame: number, reason };
        let Some(line) = read_line(&mut self.input).map_err(|e| bad(e.to_string()))? else { return Ok(None) };
        if line != "FRAME" && !line.starts_with("FRAME ") {
            return Err(bad("a frame does not begin with FRAME".into()));
        }
        self.input.read_exact(&mut self.planes).map_err(|_| bad("it ends in the middle of a frame".into()))?;
        self.convert(frame);
        self.count += 1;
        Ok(Some(number as f64 / self.frames_per_second))
    }

    fn frames_per_second(&self) -> Option<f64> {
        Some(self.frames_per_second)
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, planes: &[u8]) -> Result<Vec<u8>, CaptureError> {
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(b"\nFRAME\n");
        bytes.extend(planes);
        let mut reader = Reader::new(&bytes[..], "a test")?;
        let mut frame = Frame::default();
        assert_eq!(reader.next(&mut frame)?, Some(0.0));
        assert_eq!(reader.next(&mut frame)?, None);
        Ok(frame.rgb().to_vec())
    }

    #[test]
    fn colours_follow_the_standard() {
        // Pure red, green and blue in limited-range BT.601 are (81, 90, 240), (145, 54, 34) and (41, 240, 110).
        for ((y, u, v), rgb) in [
            ((81, 90, 240), [255, 0, 0]),
            ((145, 54, 34), [0, 255, 0]),
            ((41, 240, 110), [0, 0, 255]),
            ((235, 128, 128), [255; 3]),
        ] {
            let pixels = read("YUV4MPEG2 W3 H1 F30:1 C420jpeg", &[y, y, y, u, u, v, v]).unwrap();
            for pixel in pixels.chunks_exact(3) {
                for (a, b) in pixel.iter().zip(rgb) {
                    assert!(a.abs_diff(b) <= 2, "{pixel:?} instead of {rgb:?}");
                }
            }
        }
        assert_eq!(read("YUV4MPEG2 W2 H1 Cmono", &[16, 235]).unwrap(), [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn damage_is_reported_with_its_place() {
        let error = |header: &str, planes: &[u8]| read(header, planes).unwrap_err().to_string();
        assert!(error("YUV4MPEG2 W2 H2", &[0; 4]).contains("middle of a frame"));
        assert!(error("YUV4MPEG2 W2 H2 C420p10", &[0; 6]).contains("C420p10".trim_start_matches('C')));
        assert!(error("RIFF", &[]).contains("YUV4MPEG2"));
        assert!(error("YUV4MPEG2 W0 H2", &[]).contains("0x2"));
    }
}
