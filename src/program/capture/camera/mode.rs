//! The modes of a camera, and the choice between them.
//!
//! A [`Mode`] is a pixel format, a size in pixels and a rate in frames per second. [`choose`] picks one for a [`Wish`].

use std::cmp::Ordering;
use std::fmt;

/// The default size. Without a wish, any size with half to twice as many pixels is as good.
const USUAL_SIZE: (u32, u32) = (640, 480);
const USUAL_PIXELS: std::ops::RangeInclusive<u32> = 640 * 480 / 2..=640 * 480 * 2;
/// Without a wish, higher frame rates than this are no better: nobody sees the difference.
const FAST_ENOUGH: f64 = 60.0;
/// Rates that differ by less, in frames per second, count as equal: 30000/1001 is 30.
const SAME_RATE: f64 = 0.5;

/// The layout of the pixels that a camera sends, in ascending order of the work to decode them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PixelFormat {
    /// Y0 U Y1 V for every two pixels.
    Yuyv,
    /// Luma, then U V pairs for every 2x2 pixels.
    Nv12,
    /// One JPEG picture per frame.
    Mjpeg,
}

impl PixelFormat {
    /// All supported formats.
    #[cfg(target_os = "linux")]
    pub const ALL: [Self; 3] = [Self::Yuyv, Self::Nv12, Self::Mjpeg];

    /// Its four-character code in V4L2.
    #[cfg(target_os = "linux")]
    pub fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Yuyv => *b"YUYV",
            Self::Nv12 => *b"NV12",
            Self::Mjpeg => *b"MJPG",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::Mjpeg => "MJPEG",
        })
    }
}

/// A rate as `frames` in `seconds`; neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub frames: u32,
    pub seconds: u32,
}

impl Rate {
    /// A rate of `frames` in `seconds`; `None` if either is 0.
    pub fn new(frames: u32, seconds: u32) -> Option<Self> {
        (frames > 0 && seconds > 0).then_some(Self { frames, seconds })
    }

    /// The rate that is written as this number above 0: 30000 in 1001 seconds for 29.97.
    fn of(per_second: f64) -> Self {
        let whole = Self { frames: per_second.round() as u32, seconds: 1 };
        let broadcast = Self { frames: 1000 * per_second.round() as u32, seconds: 1001 };
        let exact = Self { frames: (per_second * 100.0).round() as u32, seconds: 100 };
        [whole, broadcast].into_iter().find(|rate| rate.to_string() == exact.to_string()).unwrap_or(exact)
    }

    pub fn per_second(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 29.97 for 30000/1001, but 30 for 30/1.
        let hundredths = (self.per_second() * 100.0).round() / 100.0;
        write!(f, "{hundredths}")
    }
}

/// A combination of format, size and rate that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub rate: Rate,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, width, height, rate } = self;
        write!(f, "{format} {width}x{height} at {rate} frames per second")
    }
}

/// The size and rate that the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Wish {
    pub size: Option<(u32, u32)>,
    pub frames_per_second: Option<f64>,
}

impl Wish {
    /// The size to look for in a range of sizes.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only V4L2 has ranges of sizes"))]
    pub fn target_size(&self) -> (u32, u32) {
        self.size.unwrap_or(USUAL_SIZE)
    }

    /// The rate to ask for in the range from `slowest` to `fastest`.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only V4L2 has ranges of rates"))]
    pub fn target_rate(&self, slowest: Rate, fastest: Rate) -> Rate {
        let wished = self.frames_per_second.unwrap_or(FAST_ENOUGH);
        if wished >= fastest.per_second() {
            fastest
        } else if wished <= slowest.per_second() {
            slowest
        } else {
            Rate::of(wished)
        }
    }
}

/// The best mode; `None` if there is none.
///
/// The closest size to the wanted one comes first, then the closest rate. Without a wish the fastest mode at about
/// 640x480 wins, then the size closest to that, then the format that is cheapest to decode.
pub(super) fn choose(modes: &[Mode], wish: &Wish) -> Option<Mode> {
    modes.iter().copied().min_by(|a, b| compare(a, b, wish))
}

/// Orders modes from best to worst.
pub(super) fn compare(a: &Mode, b: &Mode, wish: &Wish) -> Ordering {
    let size_first = |mode: &Mode| {
        let is_near = wish.size.is_none() && USUAL_PIXELS.contains(&mode.width.saturating_mul(mode.height));
        if is_near { (0, 0) } else { distance(mode, wish) }
    };
    size_first(a)
        .cmp(&size_first(b))
        .then_with(|| slowness(a, wish).total_cmp(&slowness(b, wish)))
        .then_with(|| distance(a, wish).cmp(&distance(b, wish)))
        .then_with(|| a.format.cmp(&b.format))
        .then_with(|| exactness(a, wish).total_cmp(&exactness(b, wish)))
        .then_with(|| b.rate.per_second().total_cmp(&a.rate.per_second()))
}

/// The distance of a mode from the wanted or usual size: the difference in pixels, then in columns.
fn distance(mode: &Mode, wish: &Wish) -> (u64, u32) {
    let (width, height) = wish.size.unwrap_or(USUAL_SIZE);
    let pixels = |w: u32, h: u32| u64::from(w) * u64::from(h);
    (pixels(mode.width, mode.height).abs_diff(pixels(width, height)), mode.width.abs_diff(width))
}

/// The distance of a mode's rate from the wanted one, in frames per second; 0 for about the same rate.
fn slowness(mode: &Mode, wish: &Wish) -> f64 {
    let off = match wish.frames_per_second {
        Some(_) => exactness(mode, wish),
        None => (FAST_ENOUGH - mode.rate.per_second()).max(0.0),
    };
    if off < SAME_RATE { 0.0 } else { off }
}

/// The distance of a mode's rate from the wanted one, in frames per second; 0 without one.
fn exactness(mode: &Mode, wish: &Wish) -> f64 {
    wish.frames_per_second.map_or(0.0, |wished| (mode.rate.per_second() - wished).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(format: PixelFormat, width: u32, height: u32, frames: u32, seconds: u32) -> Mode {
        Mode { format, width, height, rate: Rate { frames, seconds } }
    }

    #[test]
    fn without_wishes_the_best_rate_at_about_640x480_wins() {
        use PixelFormat::{Mjpeg, Nv12, Yuyv};
        let modes = [
            mode(Mjpeg, 1280, 720, 60, 1),
            mode(Mjpeg, 640, 480, 30, 1),
            mode(Nv12, 640, 480, 30, 1),
            mode(Yuyv, 640, 480, 30, 1),
            mode(Yuyv, 640, 480, 15, 1),
            mode(Yuyv, 320, 240, 60, 1),
        ];
        let best = |modes: &[Mode]| choose(modes, &Wish::default()).unwrap();
        assert_eq!(best(&modes), modes[3], "of equally fast ones the one that is cheapest to decode");
        let faster = [modes[3], mode(Mjpeg, 640, 480, 60, 1), mode(Yuyv, 640, 360, 60, 1)];
        assert_eq!(best(&faster), faster[1], "of equally fast ones the one with the usual size");
        let smaller = [modes[4], mode(Yuyv, 640, 360, 30, 1)];
        assert_eq!(best(&smaller), smaller[1], "a little smaller is better than slow");
        let odd = [modes[4], mode(Yuyv, 640, 480, 30000, 1001)];
        assert_eq!(best(&odd), odd[1]);
        let far = [modes[0], mode(Yuyv, 1920, 1080, 60, 1)];
        assert_eq!(best(&far), far[0], "the nearest, where none is near");
        let furious = [mode(Mjpeg, 640, 480, 120, 1), mode(Yuyv, 640, 480, 60, 1)];
        assert_eq!(best(&furious), furious[1], "faster than can be seen is no better");
        assert_eq!(choose(&[], &Wish::default()), None);
    }

    #[test]
    fn the_closest_mode_to_a_wish_is_chosen_the_size_first() {
        use PixelFormat::{Mjpeg, Yuyv};
        let modes = [
            mode(Yuyv, 640, 480, 30, 1),
            mode(Mjpeg, 1280, 720, 60, 1),
            mode(Mjpeg, 1280, 720, 30000, 1001),
            mode(Yuyv, 1280, 720, 10, 1),
        ];
        let chosen = |size, frames_per_second| choose(&modes, &Wish { size, frames_per_second }).unwrap();
        assert_eq!(chosen(Some((1280, 720)), None), modes[1]);
        assert_eq!(chosen(Some((1280, 720)), Some(30.0)), modes[2]);
        assert_eq!(chosen(Some((1300, 700)), Some(5.0)), modes[3]);
        let both = [mode(Yuyv, 640, 480, 30, 1), mode(Yuyv, 640, 480, 30000, 1001)];
        let of_both = |rate| choose(&both, &Wish { size: None, frames_per_second: Some(rate) }).unwrap();
        assert_eq!((of_both(30.0), of_both(29.97)), (both[0], both[1]));
        assert_eq!(chosen(None, Some(60.0)), modes[0], "the usual size, as near to the rate as it can");
    }

    #[test]
    fn a_rate_in_a_range_is_the_wished_one_or_fast_enough() {
        let (slowest, fastest) = (Rate { frames: 5, seconds: 1 }, Rate { frames: 120, seconds: 1 });
        let target = |frames_per_second| Wish { size: None, frames_per_second }.target_rate(slowest, fastest);
        assert_eq!(target(None), Rate { frames: 60, seconds: 1 });
        assert_eq!(target(Some(25.0)), Rate { frames: 25, seconds: 1 });
        assert_eq!(target(Some(29.97)), Rate { frames: 30000, seconds: 1001 });
        assert_eq!(target(Some(7.5)), Rate { frames: 750, seconds: 100 });
        assert_eq!((target(Some(1.0)), target(Some(500.0))), (slowest, fastest));
    }

    #[test]
    fn rates_are_written_as_people_write_them() {
        assert_eq!(Rate::new(30, 1).unwrap().to_string(), "30");
        assert_eq!(Rate::new(30000, 1001).unwrap().to_string(), "29.97");
        assert_eq!(Rate::new(15, 2).unwrap().to_string(), "7.5");
        assert_eq!(Rate::new(0, 1), None);
        let mode = mode(PixelFormat::Mjpeg, 1280, 720, 30, 1);
        assert_eq!(mode.to_string(), "MJPEG 1280x720 at 30 frames per second");
    }
}
