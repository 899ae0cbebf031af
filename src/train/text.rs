//! Text on pictures, in one embedded typeface and anti-aliased.
//!
//! In: a line of text and a position in pixels. Out: the picture with the text on it. Nothing fails; characters missing
//! from the typeface are drawn as its box.

use crate::runtime::image::Frame;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use std::sync::OnceLock;

fn font() -> Option<&'static FontRef<'static>> {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    FONT.get_or_init(|| FontRef::try_from_slice(dejavu::sans::regular()).ok()).as_ref()
}

/// Width in pixels of a line of text that is `size` pixels high.
pub fn width(text: &str, size: f32) -> f32 {
    let Some(font) = font() else { return 0.0 };
    let font = font.as_scaled(PxScale::from(size));
    text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
}

/// Draws a line of text `size` pixels high with its upper left corner at (`x`, `y`), cut off at the edges of the
/// picture.
pub fn draw(frame: &mut Frame, x: f32, y: f32, size: f32, color: [u8; 3], text: &str) {
    let Some(font) = font() else { return };
    let scaled = font.as_scaled(PxScale::from(size));
    let (frame_width, frame_height) = (frame.width() as i32, frame.height() as i32);
    let mut at = x;
    for c in text.chars() {
        let glyph = scaled.scaled_glyph(c);
        let advance = scaled.h_advance(glyph.id);
        let mut placed = glyph;
        placed.position = point(at, y + scaled.ascent());
        if let Some(outline) = font.outline_glyph(placed) {
            let bounds = outline.px_bounds();
            let rgb = frame.rgb_mut();
            outline.draw(|dx, dy, cover| {
                let (px, py) = (bounds.min.x as i32 + dx as i32, bounds.min.y as i32 + dy as i32);
                if px < 0 || py < 0 || px >= frame_width || py >= frame_height {
                    return;
                }
                let pixel = (py * frame_width + px) as usize * 3;
                for (old, new) in rgb[pixel..pixel + 3].iter_mut().zip(color) {
                    *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * cover.clamp(0.0, 1.0)) as u8;
                }
            });
        }
        at += advance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_covers_about_its_width_and_stays_inside() {
        let mut frame = Frame::filled(100, 30, [0, 0, 0]);
        draw(&mut frame, 10.0, 5.0, 16.0, [255, 255, 255], "awing");
        let lit: Vec<usize> = (0..100).filter(|x| (0..30).any(|y| frame.rgb()[(y * 100 + x) * 3] > 128)).collect();
        let (first, last) = (lit[0] as f32, lit[lit.len() - 1] as f32);
        assert!(first >= 10.0 && (last - 10.0 - width("awing", 16.0)).abs() < 3.0);
        draw(&mut frame, -20.0, -9.0, 40.0, [255, 0, 0], "beyond every border");
    }
}
