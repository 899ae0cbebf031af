//! Real-time face-landmark tracking on an ordinary CPU.
//!
//! awing finds faces in pictures and video and puts 98 landmarks (the WFLW scheme) on each. A small hourglass network
//! predicts one heatmap per landmark; it is trained with the Adaptive Wing loss (Wang, Bo, Fuxin, ICCV 2019). The
//! models come with the library: nothing is downloaded, and no picture leaves the process.
//!
//! # Frames in, faces out
//!
//! A [`Tracker`] tracks faces from frame to frame. It takes anything that converts to a [`FrameView`] and returns a
//! [`Face`] for each face in sight:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use awing::{Frame, Tracker, TrackerOptions};
//!
//! let mut tracker = Tracker::new(TrackerOptions::default())?;
//! let frame = Frame::filled(640, 480, [90, 90, 90]); // or Frame::open("face.jpg".as_ref())?
//! for face in tracker.track(&frame)? {
//!     println!("face {} at {:?}, {} landmarks", face.id, face.rect, face.landmarks.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each [`Landmark`] has a point in pixels of the frame and a confidence. A face keeps its `id` while it is in sight,
//! and for a second after it was lost. [`Tracker::track`] takes the time from the clock; for recordings, pass the
//! frame's own time to [`Tracker::track_at`]. Call [`Tracker::reset`] between unrelated pictures.
//!
//! # Parts of a face
//!
//! [`Face::part`] picks landmarks by name, so that no index appears in your code. Left means left in the picture.
//!
//! ```
//! use awing::{Face, Part};
//!
//! /// The distance of the lids over the width of the eye; `None` if the model has no such points.
//! fn openness(face: &Face, eye: Part) -> Option<f32> {
//!     let points: Vec<_> = face.part(eye).map(|landmark| landmark.point).collect();
//!     // Clockwise from the left corner: 0 and 4 are the corners, 2 and 6 the middles of the lids.
//!     (points.len() == 8).then(|| points[2].distance(points[6]) / points[0].distance(points[4]))
//! }
//! ```
//!
//! # Your own buffers
//!
//! A [`FrameView`] borrows a buffer in the layout that a camera or decoder delivers, with any stride. RGB is read in
//! place; of other formats only the pixels in use are converted. No frame is copied.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use awing::{FrameView, PixelFormat, Tracker, TrackerOptions};
//!
//! let mut tracker = Tracker::new(TrackerOptions::default())?;
//! let (width, height, stride) = (640, 480, 1984);
//! let bgr = vec![0; stride * height];
//! let view = FrameView::new(&bgr, width, height, stride, PixelFormat::Bgr)?;
//! let faces = tracker.track_at(view, 0.033)?;
//! # assert!(faces.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Several faces, threads
//!
//! [`TrackerOptions`] sets the maximum number of faces, the smoothing and the number of threads. One thread tracks a
//! face at hundreds of frames per second; more threads help with several faces or a large network. A tracker is
//! [`Send`] but not shared: give each video stream its own. After the first frames of a size, tracking does not
//! allocate.
//!
//! ```
//! # fn main() -> Result<(), awing::TrackError> {
//! use awing::{Smoothing, Tracker, TrackerOptions};
//!
//! let mut options = TrackerOptions::default();
//! options.faces = 2;
//! options.threads = 2;
//! options.smoothing = Some(Smoothing { min_cutoff_hz: 0.5, ..Smoothing::default() });
//! let tracker = Tracker::new(options)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Your own models
//!
//! [`Models`] holds the two networks: the bundled ones, or yours from a file ([`Model::load`]) or from memory
//! ([`Model::from_bytes`]).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use awing::{Model, Models, Tracker, TrackerOptions};
//!
//! let mut models = Models::bundled()?;
//! models.landmarks = Model::load("tuned.safetensors".as_ref())?;
//! let tracker = Tracker::with_models(TrackerOptions::default(), &models)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! A frame without a face is not an error: the list is empty. Errors are typed ([`TrackError`], [`ModelError`],
//! [`EngineError`], [`ImageError`]); each says what failed, and [`source`](std::error::Error::source) says why. More
//! variants may come.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `pictures` | `Frame::open`, `Frame::decode`, `Frame::save` |
//! | `serde` | `Serialize` for signals; `Serialize` and `Deserialize` for faces, landmarks, detections and times |
//! | `train` | the module `train`: training, import of PyTorch checkpoints, export |
//! | `cuda`, `metal` | training and large networks on a GPU, through candle |
//! | `program`, `camera`, `window` (default) | the `awing` program |
//!
//! To embed only the tracker:
//!
//! ```toml
//! awing = { version = "0.2", default-features = false, features = ["pictures"] }
//! ```

// The upper layers use items that a lower layer alone leaves unused.
#![cfg_attr(not(feature = "program"), allow(dead_code, unused_imports))]

// Some unit tests share files with integration tests, which call the library by its name.
#[cfg(test)]
extern crate self as awing;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "program")]
mod program;
mod runtime;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "program")]
#[doc(hidden)]
pub use program::cli::main as run_program;
pub use runtime::detect::Detection;
pub use runtime::engine::{Backend, EngineError, Executor, Precision};
pub use runtime::geometry::{FrameSpace, Point, Rect};
pub use runtime::heatmap::HeatmapView;
pub use runtime::image::{Frame, FrameView, ImageError, PixelFormat};
pub use runtime::landmarks::{Landmark, Part, Scheme};
pub use runtime::model::{ConfigError, Model, ModelError, WeightFormat};
pub use runtime::named::UnknownName;
pub use runtime::signals::{Blink, HeadPose, Profile, SignalMeter, Signals};
pub use runtime::track::{Face, Models, Smoothing, StageTimes, TrackError, Tracker, TrackerOptions};

/// The README's examples compile.
#[cfg(all(doctest, feature = "pictures"))]
#[doc = include_str!("../README.md")]
struct Readme;
