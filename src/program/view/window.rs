//! The live window.
//!
//! In: canvases of the window's size. Out: what the person does, as [`WindowCommand`]s of the live window or as
//! [`KeyPress`]es and a [`Pointer`]. Without a display, opening is an error, never a panic; [`on_display_lost`] is for a
//! display that goes away while the window is open.

use super::ViewError;
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::image::Frame;
use minifb::{InputCallback, Key, MouseButton, MouseMode, ScaleMode, WindowOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use minifb::{CursorStyle, Key as WindowKey};

/// The smallest window that is opened, in pixels.
const SMALLEST: (usize, usize) = (320, 240);
/// The largest window that is opened, at scale 1, in pixels.
const LARGEST: (f32, f32) = (1280.0, 800.0);
/// Repeated events of a held key come at shorter intervals than this. The event of its release can get lost with the
/// keyboard's focus.
const KEY_REPEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How often an unchanged canvas is put on the screen again: parts that were covered are not restored by themselves.
const RESTORE_INTERVAL: Duration = Duration::from_millis(100);

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowCommand {
    Quit,
    Help,
    /// The panel of figures.
    Figures,
    /// Dots on the landmarks.
    Points,
    Curves,
    Boxes,
    /// The landmark heatmaps over the face.
    Heatmaps,
    /// The boundary map over the face.
    Boundary,
    /// The network's input in an inset.
    Crop,
    /// Left and right swapped, as in a mirror.
    Mirror,
    Smoothing,
    /// The picture stands still.
    Freeze,
    /// Save the picture and its landmarks.
    Snapshot,
    /// Take the faces in sight as being at rest.
    Neutral,
    /// Keep the face, to be corrected and learned from.
    KeepFace,
    /// Tune the model on the accepted faces, or stop.
    Tune,
    /// The bundled model in place of the tuned one, or the other way round.
    OtherModel,
    /// Keep faces that are worth it by themselves, or stop.
    Collect,
    /// Start to record a video and its landmarks, or stop.
    Record,
    /// The maximum number of faces.
    Faces(usize),
    NextCamera,
    /// The next precision of the landmark network.
    Precision,
}

/// A key, its name and what it does.
#[derive(Clone, Copy, Debug)]
pub struct KeyBinding {
    key: Key,
    pub command: WindowCommand,
    pub name: &'static str,
    pub action: &'static str,
}

const fn bind(key: Key, command: WindowCommand, name: &'static str, action: &'static str) -> KeyBinding {
    KeyBinding { key, command, name, action }
}

/// All keys but the digits, in the order in which help lists them.
pub const KEYS: [KeyBinding; 22] = [
    bind(Key::H, WindowCommand::Help, "H", "this help"),
    bind(Key::I, WindowCommand::Figures, "I", "frame rate and times"),
    bind(Key::L, WindowCommand::Points, "L", "landmarks"),
    bind(Key::C, WindowCommand::Curves, "C", "curves"),
    bind(Key::B, WindowCommand::Boxes, "B", "box and number"),
    bind(Key::T, WindowCommand::Heatmaps, "T", "heatmaps"),
    bind(Key::E, WindowCommand::Boundary, "E", "boundary map (edges)"),
    bind(Key::X, WindowCommand::Crop, "X", "the network's input"),
    bind(Key::M, WindowCommand::Mirror, "M", "mirror"),
    bind(Key::S, WindowCommand::Smoothing, "S", "smoothing"),
    bind(Key::F, WindowCommand::Freeze, "F", "pause the picture"),
    bind(Key::P, WindowCommand::Snapshot, "P", "save picture and landmarks"),
    bind(Key::R, WindowCommand::Record, "R", "record video and landmarks"),
    bind(Key::Space, WindowCommand::Neutral, "Space", "this pose is straight ahead, at rest"),
    bind(Key::K, WindowCommand::KeepFace, "K", "keep this face for fine-tuning"),
    bind(Key::G, WindowCommand::Collect, "G", "gather faces for fine-tuning"),
    bind(Key::U, WindowCommand::Tune, "U", "fine-tune on accepted faces"),
    bind(Key::D, WindowCommand::OtherModel, "D", "bundled or tuned model"),
    bind(Key::N, WindowCommand::NextCamera, "N", "next camera"),
    bind(Key::A, WindowCommand::Precision, "A", "precision"),
    bind(Key::Key1, WindowCommand::Faces(1), "1-9", "maximum faces"),
    bind(Key::Q, WindowCommand::Quit, "Q, Esc", "quit"),
];

const DIGITS: [Key; 9] =
    [Key::Key1, Key::Key2, Key::Key3, Key::Key4, Key::Key5, Key::Key6, Key::Key7, Key::Key8, Key::Key9];

fn command_of(key: Key) -> Option<WindowCommand> {
    let key = if key == Key::Escape { Key::Q } else { key };
    let digit = DIGITS.iter().position(|k| *k == key).map(|i| WindowCommand::Faces(i + 1));
    digit.or_else(|| KEYS.iter().find(|binding| binding.key == key).map(|binding| binding.command))
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    pub key: Key,
    /// Whether it has been held for a while.
    pub is_repeat: bool,
    /// Whether a shift key was held.
    pub is_shifted: bool,
}

/// The mouse over the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointer {
    /// It may lie beyond the canvas.
    pub at: Point<CanvasSpace>,
    /// Whether the left button is held.
    pub left: bool,
    /// Whether the middle or the right button is held.
    pub other: bool,
    /// How far the wheel was turned since the last picture; positive is away from the person.
    pub wheel: f32,
}

/// Keys that were pressed, and which are held.
#[derive(Default)]
struct Keyboard {
    pressed: Vec<KeyPress>,
    held: Vec<(Key, Instant)>,
}

impl Keyboard {
    fn signal(&mut self, key: Key, is_down: bool, now: Instant) {
        let last = self.held.iter().position(|(k, _)| *k == key).map(|i| self.held.swap_remove(i).1);
        if is_down {
            self.held.push((key, now));
            let is_repeat = last.is_some_and(|last| now - last <= KEY_REPEAT_INTERVAL);
            let is_shifted = self.held.iter().any(|(held, _)| matches!(held, Key::LeftShift | Key::RightShift));
            self.pressed.push(KeyPress { key, is_repeat, is_shifted });
        }
    }
}

/// Receives every key, even one that is pressed and released between two calls of [`Window::commands`].
struct Listener(Arc<Mutex<Keyboard>>);

impl InputCallback for Listener {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, is_down: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).signal(key, is_down, Instant::now());
    }
}

/// An open window.
pub struct Window {
    window: minifb::Window,
    keyboard: Arc<Mutex<Keyboard>>,
    scale: f32,
    pixels: Vec<u32>,
    /// Of `pixels`.
    size: (usize, usize),
    shown: Instant,
}

impl Window {
    /// Opens a window for frames of `frame` pixels (width, height), `scale` times as large (`None`: the scale of the
    /// screen), but no larger than a usual screen.
    ///
    /// # Errors
    /// [`ViewError::NoDisplay`], or what the display system reports.
    pub fn open(title: &str, frame: (usize, usize), scale: Option<f32>) -> Result<Self, ViewError> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        if cfg!(all(unix, not(target_os = "macos"))) && !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY") {
            return Err(ViewError::NoDisplay);
        }
        let screen = Screen::open();
        let scale = scale.unwrap_or_else(|| screen.scale());
        let (width, height) = (frame.0.max(1) as f32, frame.1.max(1) as f32);
        let fitting = scale * (LARGEST.0 / width).min(LARGEST.1 / height).min(1.0);
        let size = |side: f32, least: usize| ((side * fitting).round() as usize).max(least);
        let options = WindowOptions { resize: true, scale_mode: ScaleMode::Stretch, ..WindowOptions::default() };
        let open = || minifb::Window::new(title, size(width, SMALLEST.0), size(height, SMALLEST.1), options);
        let mut window = match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(window)) => window,
            Ok(Err(error)) => return Err(ViewError::Window(error.to_string())),
            Err(_) => return Err(ViewError::Window("the display refused the connection".into())),
        };
        // Only now: some X servers reset when their last connection is closed, and refuse new ones meanwhile.
        drop(screen);
        // The caller sets the pace.
        window.set_target_fps(0);
        let keyboard = Arc::<Mutex<Keyboard>>::default();
        window.set_input_callback(Box::new(Listener(keyboard.clone())));
        Ok(Self { window, keyboard, scale, pixels: Vec::new(), size: (0, 0), shown: Instant::now() })
    }

    /// Width and height of the canvas in pixels, at least 1.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = self.window.get_size();
        (width.max(1), height.max(1))
    }

    /// 2 on a screen with twice as many pixels for the same size.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Puts a canvas on the screen.
    ///
    /// # Errors
    /// [`ViewError::Window`].
    pub fn show(&mut self, canvas: &Frame) -> Result<(), ViewError> {
        self.pixels.clear();
        let pixels = canvas.rgb().as_chunks::<3>().0.iter();
        self.pixels.extend(pixels.map(|&[r, g, b]| u32::from_be_bytes([0, r, g, b])));
        self.size = (canvas.width(), canvas.height());
        self.put()
    }

    /// Keeps the window alive while there is nothing new to show.
    ///
    /// # Errors
    /// [`ViewError::Window`].
    pub fn keep(&mut self) -> Result<(), ViewError> {
        if !self.pixels.is_empty() && self.shown.elapsed() > RESTORE_INTERVAL {
            return self.put();
        }
        self.window.update();
        Ok(())
    }

    fn put(&mut self) -> Result<(), ViewError> {
        self.shown = Instant::now();
        let (width, height) = self.size;
        self.window.update_with_buffer(&self.pixels, width, height).map_err(|e| ViewError::Window(e.to_string()))
    }

    /// The commands since the last call.
    pub fn commands(&mut self) -> Vec<WindowCommand> {
        let closed = (!self.is_open()).then_some(WindowCommand::Quit);
        let pressed = self.presses().into_iter().filter(|press| !press.is_repeat);
        closed.into_iter().chain(pressed.filter_map(|press| command_of(press.key))).collect()
    }

    /// The keys that were pressed since the last call, also while they are held.
    pub fn presses(&mut self) -> Vec<KeyPress> {
        std::mem::take(&mut self.keyboard.lock().unwrap_or_else(PoisonError::into_inner).pressed)
    }

    /// The mouse, as it was when the canvas was last shown or kept.
    pub fn pointer(&self) -> Pointer {
        let (x, y) = self.window.get_unscaled_mouse_pos(MouseMode::Pass).unwrap_or_default();
        let is_held = |button| self.window.get_mouse_down(button);
        Pointer {
            at: Point::new(x, y),
            left: is_held(MouseButton::Left),
            other: is_held(MouseButton::Middle) || is_held(MouseButton::Right),
            wheel: self.window.get_scroll_wheel().map_or(0.0, |(_, y)| y),
        }
    }

    /// Changes how the mouse pointer looks over the window.
    pub fn set_cursor(&mut self, cursor: CursorStyle) {
        self.window.set_cursor_style(cursor);
    }

    /// Whether nobody has asked the window to close.
    pub fn is_open(&self) -> bool {
        self.window.is_open()
    }
}

/// Xlib ends the process when the display goes away (a logout, a broken connection, a crash). From now on it first calls
/// `end`, in the thread of the window, and exits with the status that this returns; a request that the display merely
/// refuses no longer ends the process. Where windows do not come from Xlib, a display that goes away closes the window,
/// and `end` is never called.
#[cfg(all(unix, not(target_os = "macos")))]
pub fn on_display_lost(end: impl Fn() -> i32 + Send + Sync + 'static) {
    x11::on_display_lost(Box::new(end));
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
pub fn on_display_lost(_: impl Fn() -> i32 + Send + Sync + 'static) {}

/// The screen, before a window is open.
struct Screen {
    #[cfg(all(unix, not(target_os = "macos")))]
    connection: Option<x11::Connection>,
}

impl Screen {
    fn open() -> Self {
        Self {
            // Wayland enlarges windows by itself.
            #[cfg(all(unix, not(target_os = "macos")))]
            connection: if std::env::var_os("WAYLAND_DISPLAY").is_some_and(|v| !v.is_empty()) {
                None
            } else {
                x11::Connection::open()
            },
        }
    }

    /// Its pixels per pixel of a usual screen, as the desktop says.
    fn scale(&self) -> f32 {
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(connection) = &self.connection {
            return connection.scale();
        }
        1.0
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
mod x11 {
    use std::ffi::{CStr, c_int};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr::NonNull;
    use std::sync::OnceLock;
    use x11_dl::xlib::{Display, XErrorEvent, Xlib};

    type ExitHook = Box<dyn Fn() -> i32 + Send + Sync>;

    static EXIT_HOOK: OnceLock<ExitHook> = OnceLock::new();
    /// Dots per inch of a usual screen.
    const USUAL_DPI: f32 = 96.0;

    pub fn on_display_lost(hook: ExitHook) {
        let is_first = EXIT_HOOK.set(hook).is_ok();
        // Without Xlib no display can be lost.
        if let (true, Ok(xlib)) = (is_first, Xlib::open()) {
            // SAFETY: the functions only store the pointers; the handlers have the signatures that Xlib asks for. x11-dl
            // never unloads the library.
            unsafe {
                (xlib.XSetIOErrorHandler)(Some(lost));
                (xlib.XSetErrorHandler)(Some(refused));
            }
        }
    }

    /// Never returns: Xlib would end the process.
    unsafe extern "C" fn lost(_: *mut Display) -> c_int {
        let hook = || EXIT_HOOK.get().map_or(1, |hook| hook());
        std::process::exit(catch_unwind(AssertUnwindSafe(hook)).unwrap_or(1))
    }

    /// The server refused a request. Xlib's own handler would end the process here, with unfinished files.
    unsafe extern "C" fn refused(_: *mut Display, error: *mut XErrorEvent) -> c_int {
        // SAFETY: Xlib hands out an event that lives as long as this call.
        let (code, request) = unsafe { ((*error).error_code, (*error).request_code) };
        tracing::debug!("the X server refused request {request} with error {code}");
        0
    }

    /// A connection to the X server.
    pub struct Connection {
        xlib: Xlib,
        display: NonNull<Display>,
    }

    impl Connection {
        pub fn open() -> Option<Self> {
            let xlib = Xlib::open().ok()?;
            // SAFETY: null asks for the display that the environment names; the answer is null or a connection.
            let display = NonNull::new(unsafe { (xlib.XOpenDisplay)(std::ptr::null()) })?;
            Some(Self { xlib, display })
        }

        /// From the resolution that desktops set for text.
        pub fn scale(&self) -> f32 {
            // SAFETY: the connection is open; the names end in 0; the answer is null or a text that ends in 0 and lives
            // as long as the connection.
            let dpi = unsafe {
                let value = (self.xlib.XGetDefault)(self.display.as_ptr(), c"Xft".as_ptr(), c"dpi".as_ptr());
                (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().trim().parse::<f32>())
            };
            dpi.and_then(Result::ok).map_or(1.0, |dpi| (dpi / USUAL_DPI).clamp(1.0, 4.0))
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            // SAFETY: the connection is open and is not used again.
            unsafe { (self.xlib.XCloseDisplay)(self.display.as_ptr()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_meaning() {
        for (i, binding) in KEYS.iter().enumerate() {
            assert_eq!(command_of(binding.key), Some(binding.command));
            assert!(KEYS[..i].iter().all(|other| other.key != binding.key), "{}", binding.name);
        }
        assert_eq!(command_of(Key::Key9), Some(WindowCommand::Faces(9)));
        assert_eq!(command_of(Key::F12), None);
    }

    #[test]
    fn a_held_key_counts_once_and_a_short_press_is_not_missed() {
        let mut keyboard = Keyboard::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for (key, is_down, ms) in
            [(Key::L, true, 0), (Key::L, true, 500), (Key::L, true, 530), (Key::L, false, 560), (Key::L, true, 600)]
        {
            keyboard.signal(key, is_down, at(ms));
        }
        keyboard.signal(Key::C, true, at(601));
        keyboard.signal(Key::C, false, at(602));
        let counted = |keyboard: &Keyboard| -> Vec<Key> {
            keyboard.pressed.iter().filter(|press| !press.is_repeat).map(|press| press.key).collect()
        };
        assert_eq!(counted(&keyboard), [Key::L, Key::L, Key::C]);
        assert_eq!(keyboard.pressed.len(), 5, "those who want repetitions see them");
        // Its release got lost.
        keyboard.signal(Key::L, true, at(5000));
        assert_eq!(counted(&keyboard).len(), 4);
        keyboard.signal(Key::LeftShift, true, at(6000));
        keyboard.signal(Key::Tab, true, at(6001));
        assert!(keyboard.pressed.last().is_some_and(|press| press.key == Key::Tab && press.is_shifted));
    }
}
