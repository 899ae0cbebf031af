//! One annotated face.

use super::DataError;
use crate::runtime::counted::counted;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity, crop_from_frame};
use crate::runtime::image::{Border, Frame, ImageError, crop_into};
use crate::runtime::landmarks::{Scheme, Style, StyleFits, WFLW98_OF_IBUG68};
use crate::runtime::model::CropConvention;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A face may reach beyond its picture by this many widths or heights. A point further out is a wrong number, not a
/// label, and a single one spoils a whole training.
const MOST_SIZES_OUTSIDE: f32 = 3.0;
/// The same in pixels, where the picture's size is not known yet.
const FARTHEST: f32 = 1e6;

/// A position in a data set's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub file: Arc<Path>,
    /// Counted from 1; 0 means the file as a whole.
    pub line: usize,
}

impl Origin {
    pub(super) fn error(&self, message: impl Into<String>) -> DataError {
        DataError::Row { origin: self.clone(), message: message.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// One face in one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The picture's file.
    pub image: PathBuf,
    /// The picture, if it is in memory; `image` is then only its name.
    pub frame: Option<Arc<Frame>>,
    /// The picture's path as the data set writes it.
    pub name: String,
    /// The data set that the face comes from.
    pub dataset: String,
    /// The same string is the same person, where known.
    pub subject: Option<String>,
    /// The part of a video that the picture comes from, if known. Pictures of one clip are alike.
    pub clip: Option<String>,
    /// The scheme of the points.
    pub scheme: Scheme,
    /// Their annotation style.
    pub style: Style,
    /// Whether a program labelled them.
    pub is_automatic: bool,
    /// The landmarks in the scheme's order, in pixels of the picture. Where the weight is 0 the point is meaningless.
    pub points: Vec<Point<FrameSpace>>,
    /// The weight of each point: 1 exact, 0 unknown.
    pub weight: Vec<f32>,
    /// The data set's own face box, where it has one.
    pub rect: Option<Rect<FrameSpace>>,
    /// Named parts of the data set that the face belongs to, as published tables list them.
    pub subsets: Vec<String>,
    /// Width and height of the picture in pixels, where the data set says so; checked when the picture is opened.
    pub size: Option<(usize, usize)>,
    /// The file and line that it was read from.
    pub origin: Origin,
}

impl Sample {
    /// The files of this sample.
    pub fn files(&self) -> [&Path; 2] {
        [&self.image, &self.origin.file]
    }

    /// The smallest box around the points of weight > 0; `None` if there are none or one is not finite.
    pub fn landmark_box(&self) -> Option<Rect<FrameSpace>> {
        Rect::around(self.points.iter().zip(&self.weight).filter(|&(_, &w)| w > 0.0).map(|(&p, _)| p))
    }

    /// Refuses a face of another scheme.
    ///
    /// # Errors
    /// [`DataError::Row`] naming both numbers of points.
    pub fn expect(&self, scheme: Scheme) -> Result<(), DataError> {
        if self.scheme == scheme {
            return Ok(());
        }
        let (found, expected) = (self.scheme.points(), scheme.points());
        Err(self.origin.error(format!("the face has {found} points where {expected} are needed")))
    }

    /// The face in `scheme`: unchanged, or the 68 of its 98 points.
    ///
    /// # Errors
    /// [`DataError::Row`] if the face doesn't have them.
    pub fn in_scheme(mut self, scheme: Scheme) -> Result<Self, DataError> {
        if (self.scheme, scheme) == (Scheme::Wflw98, Scheme::Ibug68) {
            self.points = WFLW98_OF_IBUG68.map(|i| self.points[i]).to_vec();
            self.weight = WFLW98_OF_IBUG68.map(|i| self.weight[i]).to_vec();
            self.scheme = scheme;
        }
        self.expect(scheme)?;
        self.checked()
    }

    /// The face in another annotation style. Only faces of 98 points can be converted; other schemes have one style
    /// only. `fits` are those of the model to train.
    pub fn in_style(mut self, style: Style, fits: &StyleFits) -> Self {
        if self.scheme == Scheme::Wflw98 {
            self.style.convert_for(style, fits, &mut self.points, &self.weight);
            self.style = style;
        }
        self
    }

    /// Opens the picture.
    ///
    /// # Errors
    /// [`DataError::Picture`] if it can't be read, [`DataError::Row`] if it has another size than the data set says or
    /// shows nothing of the face.
    pub fn open(&self) -> Result<Frame, DataError> {
        let frame = match &self.frame {
            Some(frame) => Frame::clone(frame),
            None => Frame::open(&self.image)
                .map_err(|source: ImageError| DataError::Picture { origin: self.origin.clone(), source })?,
        };
        let (width, height) = (frame.width(), frame.height());
        if let Some((w, h)) = self.size
            && (w, h) != (width, height)
        {
            return Err(self.origin.error(format!(
                "the picture {} has {width}x{height} pixels, the row says {w}x{h}: its points would be off",
                self.image.display()
            )));
        }
        if let Some(message) = self.far_outside(width, height) {
            return Err(self.origin.error(format!("{message} {}", self.image.display())));
        }
        let shown = self.landmark_box().is_some_and(|b| {
            b.x < width as f32 && b.y < height as f32 && b.x + b.width > -1.0 && b.y + b.height > -1.0
        });
        if !shown {
            return Err(self.origin.error(format!(
                "the landmarks lie outside the picture {} of {width}x{height} pixels",
                self.image.display()
            )));
        }
        Ok(frame)
    }

    /// Describes a point or box too far outside a picture of this size; `None` if there is none.
    fn far_outside(&self, width: usize, height: usize) -> Option<String> {
        let (w, h, sizes) = (width as f32, height as f32, MOST_SIZES_OUTSIDE);
        let about = Rect::new(-sizes * w, -sizes * h, (1.0 + 2.0 * sizes) * w, (1.0 + 2.0 * sizes) * h);
        let what = self.outside(&about)?;
        Some(format!("{what}, more than {sizes} picture sizes outside the picture of {width}x{height} pixels"))
    }

    /// The first known point, or the face box, that does not lie in `bounds`.
    fn outside(&self, bounds: &Rect<FrameSpace>) -> Option<String> {
        let is_inside = |p: Point<FrameSpace>| {
            (bounds.x..=bounds.x + bounds.width).contains(&p.x) && (bounds.y..=bounds.y + bounds.height).contains(&p.y)
        };
        let mut known = self.points.iter().zip(&self.weight).enumerate().filter(|(_, (_, w))| **w > 0.0);
        if let Some((i, (p, _))) = known.find(|(_, (p, _))| !is_inside(**p)) {
            return Some(format!("point {i} lies at ({}, {})", p.x, p.y));
        }
        let ends = |r: Rect<FrameSpace>| [Point::new(r.x, r.y), Point::new(r.x + r.width, r.y + r.height)];
        let rect = self.rect.filter(|r| !ends(*r).into_iter().all(is_inside))?;
        Some(format!("the face box begins at ({}, {}) and has {} x {} pixels", rect.x, rect.y, rect.width, rect.height))
    }

    /// Refuses samples that no reader may return.
    pub(super) fn checked(self) -> Result<Self, DataError> {
        let error = |message: String| Err(self.origin.error(message));
        let expected = self.scheme.points();
        if self.points.len() != expected {
            return error(format!("expected {}, found {}", counted(expected, "point"), self.points.len()));
        }
        if self.weight.len() != expected {
            return error(format!("expected {}, found {}", counted(expected, "weight"), self.weight.len()));
        }
        let positive = |r: &Rect<FrameSpace>| r.width > 0.0 && r.height > 0.0 && r.center().is_finite();
        if let Some(r) = self.rect.filter(|r| !positive(r)) {
            return error(format!("the face box has a size of {} x {}", r.width, r.height));
        }
        if let Some(i) = self.points.iter().position(|p| !p.is_finite()) {
            return error(format!("point {i} is {:?}: coordinates must be finite numbers", self.points[i]));
        }
        if let Some(i) = self.weight.iter().position(|w| !(0.0..=1.0).contains(w)) {
            return error(format!("weight {i} is {}: weights lie in 0..=1", self.weight[i]));
        }
        let far = match self.size {
            Some((width, height)) => self.far_outside(width, height),
            None => self
                .outside(&Rect::new(-FARTHEST, -FARTHEST, 2.0 * FARTHEST, 2.0 * FARTHEST))
                .map(|what| format!("{what}: no picture is that large")),
        };
        if let Some(message) = far {
            return error(message);
        }
        match self.landmark_box() {
            None => error("no point has a weight above 0".into()),
            Some(b) if !(b.side() > 0.0 && b.side().is_finite()) => {
                error("all points of weight above 0 coincide: that is no face".into())
            }
            Some(_) => Ok(self),
        }
    }
}

/// The crop of a face for evaluation: the convention's square around the landmark box's centre, upright, `size`
/// pixels a side, nearest pixels beyond the picture. Returns `size * size * 3` values in
/// 0..=1 (row, column, RGB) and the transform into the crop.
///
/// # Errors
/// [`DataError::Row`] if the sample has no point of weight above 0.
pub fn crop_for_eval(
    sample: &Sample,
    frame: &Frame,
    crop: &CropConvention,
    size: usize,
) -> Result<(Vec<f32>, Similarity<CropSpace, FrameSpace>), DataError> {
    let around = sample.landmark_box().ok_or_else(|| sample.origin.error("no point has a weight above 0"))?;
    let transform = crop_from_frame(around.center(), crop.side(&around), 0.0, size);
    let mut picture = vec![0.0; size * size * 3];
    crop_into(frame, &transform, size, Border::Replicate, &mut picture);
    Ok((picture, transform))
}
