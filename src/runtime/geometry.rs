//! Points, boxes and similarity transforms, each tagged with its space.
//!
//! In every space coordinates are `f32` pixels (cells in [`HeatmapSpace`]), and (0, 0) is the *centre* of the top-left
//! pixel, so an image of width `w` covers `-0.5 ..= w - 0.5`. The space is a type parameter: a point in the crop can't
//! be mistaken for one in the frame, and transforms are named `target_from_source`. Nothing here fails or allocates.

use std::fmt;
use std::marker::PhantomData;

/// A coordinate system; it exists only at compile time.
pub trait Space: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {}

macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;
        impl Space for $name {}
    )*};
}
spaces! {
    /// Pixels of a whole picture: a camera frame or a photograph.
    FrameSpace,
    /// Pixels of the square crop that the network sees.
    CropSpace,
    /// Cells of a heatmap.
    HeatmapSpace,
    /// Pixels of the output: the window, or an annotated picture that is saved.
    CanvasSpace,
}

/// A point in space `S`.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(bound = ""))]
pub struct Point<S> {
    pub x: f32,
    pub y: f32,
    #[cfg_attr(feature = "serde", serde(skip))]
    space: PhantomData<S>,
}

impl<S: Space> Point<S> {
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y, space: PhantomData }
    }

    /// Euclidean distance, in pixels (cells) of the space.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The midpoint of the two.
    pub fn midpoint(self, other: Self) -> Self {
        Self::new(0.5 * (self.x + other.x), 0.5 * (self.y + other.y))
    }

    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite()
    }
}

impl<S: Space> fmt::Debug for Point<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.x, self.y)
    }
}

/// An axis-aligned box in space `S`; `x` and `y` are its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(bound = ""))]
pub struct Rect<S> {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    #[cfg_attr(feature = "serde", serde(skip))]
    space: PhantomData<S>,
}

impl<S: Space> Rect<S> {
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height, space: PhantomData }
    }

    /// The smallest box around the points; `None` if there are none or one is not finite.
    pub fn around(points: impl IntoIterator<Item = Point<S>>) -> Option<Self> {
        let mut bounds: Option<[f32; 4]> = None;
        for p in points {
            if !p.is_finite() {
                return None;
            }
            let [x0, y0, x1, y1] = bounds.unwrap_or([p.x, p.y, p.x, p.y]);
            bounds = Some([x0.min(p.x), y0.min(p.y), x1.max(p.x), y1.max(p.y)]);
        }
        bounds.map(|[x0, y0, x1, y1]| Self::new(x0, y0, x1 - x0, y1 - y0))
    }

    pub fn center(&self) -> Point<S> {
        Point::new(self.x + 0.5 * self.width, self.y + 0.5 * self.height)
    }

    /// The longer side.
    pub fn side(&self) -> f32 {
        self.width.max(self.height)
    }

    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union, in 0..=1.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let h = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let intersection = w.max(0.0) * h.max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

/// A rotation, uniform scaling and translation that maps points of space `From` to space `To`:
/// `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity<To, From> {
    pub a: f32,
    pub b: f32,
    pub tx: f32,
    pub ty: f32,
    spaces: PhantomData<(To, From)>,
}

impl<To: Space, From: Space> Similarity<To, From> {
    pub const fn new(a: f32, b: f32, tx: f32, ty: f32) -> Self {
        Self { a, b, tx, ty, spaces: PhantomData }
    }

    /// The transform that scales by `scale`, rotates by `angle_rad` (positive from the x axis towards the y axis:
    /// clockwise on the screen) and maps `from` to `to`.
    pub fn about(from: Point<From>, to: Point<To>, scale: f32, angle_rad: f32) -> Self {
        let (a, b) = (scale * angle_rad.cos(), scale * angle_rad.sin());
        Self::new(a, b, to.x - (a * from.x - b * from.y), to.y - (b * from.x + a * from.y))
    }

    pub fn apply(&self, p: Point<From>) -> Point<To> {
        Point::new(self.a * p.x - self.b * p.y + self.tx, self.b * p.x + self.a * p.y + self.ty)
    }

    /// Pixels of `To` per pixel of `From`.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// The inverse transform. A transform of scale 0 has none; its result is not finite.
    pub fn inverse(&self) -> Similarity<From, To> {
        let n = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / n, -self.b / n);
        Similarity::new(a, b, -(a * self.tx - b * self.ty), -(b * self.tx + a * self.ty))
    }

    /// `self` followed by `next`.
    pub fn then<Next: Space>(&self, next: &Similarity<Next, To>) -> Similarity<Next, From> {
        let t = next.apply(Point::new(self.tx, self.ty));
        Similarity::new(next.a * self.a - next.b * self.b, next.b * self.a + next.a * self.b, t.x, t.y)
    }
}

/// The transform from a crop of `crop_size` pixels a side to heatmaps of `heatmap_size` cells a side. Pixel areas
/// correspond, so `cell = (x + 0.5) * heatmap_size / crop_size - 0.5`.
pub fn heatmap_from_crop(heatmap_size: usize, crop_size: usize) -> Similarity<HeatmapSpace, CropSpace> {
    let scale = heatmap_size as f32 / crop_size as f32;
    Similarity::new(scale, 0.0, 0.5 * scale - 0.5, 0.5 * scale - 0.5)
}

/// The transform from the square of `side` frame pixels around `center`, rotated by `angle_rad`, to a crop of
/// `crop_size` pixels a side. `angle_rad` is the roll of the head in the frame; the head is upright in the crop.
pub fn crop_from_frame(
    center: Point<FrameSpace>,
    side: f32,
    angle_rad: f32,
    crop_size: usize,
) -> Similarity<CropSpace, FrameSpace> {
    let middle = 0.5 * crop_size as f32 - 0.5;
    Similarity::about(center, Point::new(middle, middle), crop_size as f32 / side, -angle_rad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close<S: Space>(p: Point<S>, q: Point<S>) -> bool {
        p.distance(q) < 1e-3
    }

    #[test]
    fn inverse_undoes_the_transform() {
        let t = crop_from_frame(Point::new(310.0, 120.5), 200.0, 0.4, 128);
        let p = Point::new(17.0, 333.0);
        assert!(close(t.inverse().apply(t.apply(p)), p));
    }

    #[test]
    fn chained_transforms_equal_one_after_the_other() {
        let crop = crop_from_frame(Point::new(31.0, 12.0), 90.0, -0.7, 128);
        let heatmap = heatmap_from_crop(32, 128);
        let p = Point::new(40.0, 20.0);
        assert!(close(crop.then(&heatmap).apply(p), heatmap.apply(crop.apply(p))));
    }

    #[test]
    fn the_first_heatmap_cell_lies_over_the_first_four_pixels() {
        let cell = heatmap_from_crop(32, 128).apply(Point::new(1.5, 1.5));
        assert!(close(cell, Point::new(0.0, 0.0)));
    }

    #[test]
    fn a_rolled_head_is_upright_in_the_crop() {
        let roll = 0.3_f32;
        let left = Point::new(100.0, 100.0);
        let right = Point::new(100.0 + 50.0 * roll.cos(), 100.0 + 50.0 * roll.sin());
        let t = crop_from_frame(left.midpoint(right), 120.0, roll, 128);
        assert!((t.apply(left).y - t.apply(right).y).abs() < 1e-3);
        assert!(t.apply(left).x < t.apply(right).x);
    }

    #[test]
    fn overlap_of_boxes() {
        let a = Rect::<FrameSpace>::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&a), 1.0);
        assert!((a.iou(&Rect::new(5.0, 0.0, 10.0, 10.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&Rect::new(20.0, 0.0, 10.0, 10.0)), 0.0);
    }
}
