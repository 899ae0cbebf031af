//! The live window.
//!
//! In: canvases of the window's size. Out: the user's input, as [`WindowCommand`]s of the live window or as
//! [`KeyPress`]es and a [`Pointer`]. Without a display, opening is an error, never a panic; [`on_display_lost`] handles
//! a display that disappears while the window is open.

use super::ViewError;
use super::keys::{WindowCommand, command_of};
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::image::Frame;
use minifb::{InputCallback, Key, MouseButton, MouseMode, ScaleMode, WindowOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use minifb::{CursorStyle, Key as WindowKey};

/// The smallest window that is opened, in pixels.
const SMALLEST: (f32, f32) = (320.0, 240.0);
/// The largest window that is opened, at scale 1, in pixels.
const LARGEST: (f32, f32) = (1280.0, 800.0);
/// The largest share of the screen: panels and the window's own frame need the rest.
const SHARE_OF_SCREEN: f32 = 0.9;
/// Small pictures are enlarged to about this, at scale 1, but at most to twice their size.
const COMFORTABLE: (f32, f32) = (960.0, 720.0);
/// Repeated events of a held key come at shorter intervals than this. The event of its release can get lost with the
/// keyboard's focus.
const KEY_REPEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How often an unchanged canvas is redrawn: covered parts are not restored automatically.
const RESTORE_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Steps of the wheel since the last picture; positive is away from the user.
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

/// The size of a window when it opens.
#[derive(Clone, Copy)]
pub struct FirstSize {
    /// The picture in it, in pixels.
    pub picture: (usize, usize),
    /// Pixels of the screen per pixel of the picture, and the size of text and lines; `None`: the desktop's scale, with
    /// small pictures enlarged.
    pub scale: Option<f32>,
    /// Whether a small picture is enlarged if no scale is set.
    pub is_enlarged: bool,
    /// The height that is needed below the picture, of the size of the canvas and the scale.
    pub foot: fn((usize, usize), f32) -> usize,
}

impl FirstSize {
    /// On a screen of this size, if that is known.
    fn on(&self, screen: Option<(f32, f32)>, scale: f32) -> (usize, usize) {
        let (width, height) = (self.picture.0.max(1) as f32, self.picture.1.max(1) as f32);
        let largest = screen.map_or(LARGEST, |screen| {
            let room = (SHARE_OF_SCREEN * screen.0, SHARE_OF_SCREEN * screen.1);
            ((scale * LARGEST.0).min(room.0), (scale * LARGEST.1).min(room.1))
        });
        let fitting = |(wide, high): (f32, f32)| (wide / width).min(high / height);
        let comfortable = scale * fitting(COMFORTABLE).min(2.0);
        let wanted = if self.scale.is_none() && self.is_enlarged { scale.max(comfortable) } else { scale };
        let foot = |width: f32, height: f32| (self.foot)((width as usize, height as usize), scale) as f32;
        let room = (largest.0, largest.1 - foot(largest.0, largest.1));
        let factor = wanted.min(fitting(room));
        let side = |side: f32, least: f32, most: f32| (side * factor).round().max(least).min(most);
        let (width, height) = (side(width, SMALLEST.0, room.0), side(height, SMALLEST.1, room.1));
        (width as usize, (height + foot(width, height)) as usize)
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
    title: String,
    is_full_screen: bool,
    /// Its position before full screen, if no window manager keeps it: left, top, width, height.
    #[cfg(all(unix, not(target_os = "macos")))]
    before: Option<[i32; 4]>,
}

impl Window {
    /// Opens a window, no larger than the screen.
    ///
    /// # Errors
    /// [`ViewError::NoDisplay`], or what the display system reports.
    pub fn open(title: &str, size: &FirstSize) -> Result<Self, ViewError> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        if cfg!(all(unix, not(target_os = "macos"))) && !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY") {
            return Err(ViewError::NoDisplay);
        }
        let screen = Screen::open();
        let scale = size.scale.unwrap_or_else(|| screen.scale());
        let (width, height) = size.on(screen.size(), scale);
        let options = WindowOptions { resize: true, scale_mode: ScaleMode::Stretch, ..WindowOptions::default() };
        let open = || minifb::Window::new(title, width, height, options);
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
        Ok(Self {
            window,
            keyboard,
            scale,
            pixels: Vec::new(),
            size: (0, 0),
            shown: Instant::now(),
            title: title.to_owned(),
            is_full_screen: false,
            #[cfg(all(unix, not(target_os = "macos")))]
            before: None,
        })
    }

    pub fn set_title(&mut self, title: &str) {
        if self.title != title {
            self.window.set_title(title);
            title.clone_into(&mut self.title);
        }
    }

    /// Whether [`Self::toggle_full_screen`] has filled the screen.
    pub fn is_full_screen(&self) -> bool {
        self.is_full_screen
    }

    /// Fills the screen with the window, or ends that.
    ///
    /// # Errors
    /// [`ViewError::NoFullScreen`] where windows do not come from X11.
    pub fn toggle_full_screen(&mut self) -> Result<(), ViewError> {
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(connection) = Screen::open().connection {
            self.is_full_screen = !self.is_full_screen;
            connection.set_full_screen(self.window.get_window_handle() as u64, self.is_full_screen, &mut self.before);
            return Ok(());
        }
        Err(ViewError::NoFullScreen)
    }

    /// Width and height of the canvas in pixels, at least 1.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = self.window.get_size();
        (width.max(1), height.max(1))
    }

    /// 2 on a screen with twice the pixel density.
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

    /// Whether the window was neither asked to close nor destroyed by another program.
    pub fn is_open(&self) -> bool {
        #[cfg(all(unix, not(target_os = "macos")))]
        if x11::is_gone(self.window.get_window_handle() as usize) {
            return false;
        }
        self.window.is_open()
    }
}

/// Xlib ends the process when the display goes away (a logout, a broken connection, a crash). From now on it first
/// calls `end`, in the thread of the window, and exits with the status that this returns; a request that the display
/// merely refuses no longer ends the process, and tells [`Window::is_open`] of a window that another program destroyed.
/// Where windows do not come from Xlib, a display that goes away closes the window, and `end` is never called.
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

    /// Its width and height in pixels, where that is known.
    fn size(&self) -> Option<(f32, f32)> {
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(connection) = &self.connection {
            return Some(connection.size());
        }
        None
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use x11_dl::xlib::{self, Display, XErrorEvent, Xlib};

    type ExitHook = Box<dyn Fn() -> i32 + Send + Sync>;

    static EXIT_HOOK: OnceLock<ExitHook> = OnceLock::new();
    /// The window or picture that the server did not know when it was last asked for one. minifb does not hear when a
    /// window is destroyed, but it draws to it ten times a second.
    static GONE: AtomicUsize = AtomicUsize::new(0);
    /// Dots per inch of a usual screen.
    const USUAL_DPI: f32 = 96.0;

    pub fn on_display_lost(hook: ExitHook) {
        let is_first = EXIT_HOOK.set(hook).is_ok();
        // Without Xlib no display can be lost.
        if let (true, Ok(xlib)) = (is_first, Xlib::open()) {
            // SAFETY: the functions only store the pointers; the handlers have the signatures that Xlib asks for.
            // x11-dl never unloads the library.
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
        let (code, request, subject) = unsafe { ((*error).error_code, (*error).request_code, (*error).resourceid) };
        if matches!(code, xlib::BadWindow | xlib::BadDrawable) {
            GONE.store(subject as usize, Ordering::Relaxed);
        }
        tracing::debug!("the X server refused request {request} with error {code}");
        0
    }

    /// Whether this window was destroyed.
    pub fn is_gone(window: usize) -> bool {
        window != 0 && GONE.load(Ordering::Relaxed) == window
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

        /// Width and height in pixels.
        pub fn size(&self) -> (f32, f32) {
            // SAFETY: the connection is open.
            unsafe {
                let (xlib, display) = (&self.xlib, self.display.as_ptr());
                let screen = (xlib.XDefaultScreen)(display);
                ((xlib.XDisplayWidth)(display, screen) as f32, (xlib.XDisplayHeight)(display, screen) as f32)
            }
        }

        /// Asks the window manager to let a window fill the screen, or to end that. Without one that can, moves the
        /// window there, and back to where it was `before`.
        pub fn set_full_screen(&self, window: u64, is_full: bool, before: &mut Option<[i32; 4]>) {
            let (xlib, display, window) = (&self.xlib, self.display.as_ptr(), window as xlib::Window);
            let (state, full) = (self.atom(c"_NET_WM_STATE"), self.atom(c"_NET_WM_STATE_FULLSCREEN"));
            // SAFETY: the connection is open; the event and the attributes are plain numbers and outlive the calls; a
            // window that is gone makes an error that the handler above takes.
            unsafe {
                let root = (xlib.XDefaultRootWindow)(display);
                if self.supports(full) {
                    let mut event: xlib::XClientMessageEvent = std::mem::zeroed();
                    event.type_ = xlib::ClientMessage;
                    (event.display, event.window, event.message_type, event.format) = (display, window, state, 32);
                    event.data.set_long(0, std::ffi::c_long::from(is_full));
                    event.data.set_long(1, full as std::ffi::c_long);
                    event.data.set_long(3, 1);
                    let mask = xlib::SubstructureNotifyMask | xlib::SubstructureRedirectMask;
                    (xlib.XSendEvent)(display, root, 0, mask, &mut event.into());
                } else if is_full {
                    let mut place: xlib::XWindowAttributes = std::mem::zeroed();
                    (xlib.XGetWindowAttributes)(display, window, &mut place);
                    *before = Some([place.x, place.y, place.width, place.height]);
                    let (width, height) = self.size();
                    (xlib.XMoveResizeWindow)(display, window, 0, 0, width as u32, height as u32);
                } else if let Some([left, top, width, height]) = before.take() {
                    (xlib.XMoveResizeWindow)(display, window, left, top, width.max(1) as u32, height.max(1) as u32);
                }
                (xlib.XSync)(display, 0);
            }
        }

        /// Whether a window manager knows this state.
        fn supports(&self, state: xlib::Atom) -> bool {
            const MOST: std::ffi::c_long = 4096;
            let (xlib, display) = (&self.xlib, self.display.as_ptr());
            let (mut kind, mut format, mut count, mut rest, mut list) = (0, 0, 0, 0, std::ptr::null_mut());
            let supported = self.atom(c"_NET_SUPPORTED");
            // SAFETY: the connection is open; Xlib fills the list with `count` long integers, and it is freed once.
            unsafe {
                let root = (xlib.XDefaultRootWindow)(display);
                (xlib.XGetWindowProperty)(
                    display,
                    root,
                    supported,
                    0,
                    MOST,
                    0,
                    xlib::XA_ATOM,
                    &mut kind,
                    &mut format,
                    &mut count,
                    &mut rest,
                    &mut list,
                );
                if list.is_null() {
                    return false;
                }
                let is_known = format == 32
                    && std::slice::from_raw_parts(list.cast::<xlib::Atom>(), count as usize).contains(&state);
                (xlib.XFree)(list.cast());
                is_known
            }
        }

        fn atom(&self, name: &CStr) -> xlib::Atom {
            // SAFETY: the connection is open, and the name ends in 0.
            unsafe { (self.xlib.XInternAtom)(self.display.as_ptr(), name.as_ptr(), 0) }
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
    fn a_window_opens_no_larger_than_the_screen_and_large_enough_to_look_at() {
        let size = |picture, scale: Option<f32>, screen, desktop: f32| {
            let first = FirstSize { picture, scale, is_enlarged: true, foot: |_, scale| (30.0 * scale) as usize };
            first.on(screen, scale.unwrap_or(desktop))
        };
        let screen = Some((1920.0, 1080.0));
        assert_eq!(size((640, 480), None, screen, 1.0), (960, 750), "a small picture is enlarged");
        assert_eq!(size((640, 480), Some(1.0), screen, 1.0), (640, 510), "but not if a scale is named");
        assert_eq!(size((1280, 720), None, screen, 1.0), (1280, 750));
        assert_eq!(size((160, 120), None, screen, 1.0), (320, 270));
        let (width, height) = size((3840, 2160), Some(2.0), screen, 1.0);
        assert!(width <= 1728 && height <= 972 && width > 1500, "{width}x{height}");
        for picture in [(640, 480), (480, 3000), (9000, 10), (1, 1)] {
            for screen in [Some((800.0, 480.0)), Some((100.0, 80.0)), None] {
                let (width, height) = size(picture, None, screen, 2.0);
                let (most_wide, most_high) = screen.unwrap_or(LARGEST);
                assert!(width as f32 <= most_wide && height as f32 <= most_high, "{picture:?}: {width}x{height}");
            }
        }
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
