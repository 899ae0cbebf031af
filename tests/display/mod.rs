//! A virtual X server, and a user in front of it.
#![allow(dead_code, reason = "every test does a part of what a user does")]

use std::ffi::{CStr, CString, c_long, c_ulong};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{mem, ptr, slice, thread};
use x11_dl::xlib::{self, Xlib};

/// If no window appears within this time, none will.
const DEADLINE: Duration = Duration::from_secs(60);

/// An X server, stopped when dropped.
pub struct Display {
    pub server: Child,
    /// The value for `DISPLAY`.
    pub name: String,
}

impl Display {
    pub fn start() -> Self {
        Self::of_size(1280, 800)
    }

    /// A screen of this many pixels.
    pub fn of_size(width: u32, height: u32) -> Self {
        let mut command = Command::new("Xvfb");
        let screen = format!("{width}x{height}x24");
        // It writes its number to standard output once it is ready.
        command.args(["-displayfd", "1", "-screen", "0", &screen]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().expect("Xvfb is installed (Debian, Ubuntu: sudo apt install xvfb)");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { server, name: format!(":{}", number.trim()) }
    }

    /// Asks the window to close, as the button in its corner does.
    pub fn close_window(&self) {
        self.close_window_after(Duration::ZERO);
    }

    /// As [`Self::close_window`], this long after the window is there.
    pub fn close_window_after(&self, wait: Duration) {
        let user = User::connect(&self.name);
        thread::sleep(wait);
        let (protocols, close) = (user.atom("WM_PROTOCOLS"), user.atom("WM_DELETE_WINDOW"));
        let mut message = xlib::XClientMessageEvent {
            type_: xlib::ClientMessage,
            serial: 0,
            send_event: 1,
            display: user.display,
            window: user.window,
            message_type: protocols,
            format: 32,
            data: xlib::ClientMessageData::new(),
        };
        message.data.set_long(0, close as c_long);
        user.send(message.into());
    }

    /// Destroys the window without asking its program.
    pub fn destroy_window(&self) {
        let user = User::connect(&self.name);
        // SAFETY: the connection is open, and the window is there.
        unsafe {
            (user.xlib.XDestroyWindow)(user.display, user.window);
            (user.xlib.XSync)(user.display, 0);
        }
    }

    /// Presses and releases a key.
    pub fn press(&self, key: char) {
        self.press_symbol(c_ulong::from(u32::from(key)));
    }

    /// Presses and releases the key of this X key symbol.
    pub fn press_symbol(&self, symbol: c_ulong) {
        let user = User::connect(&self.name);
        // SAFETY: the connection is open.
        let code = unsafe { (user.xlib.XKeysymToKeycode)(user.display, symbol) };
        for type_ in [xlib::KeyPress, xlib::KeyRelease] {
            // SAFETY: integers, and a pointer that may be null.
            let mut event: xlib::XKeyEvent = unsafe { mem::zeroed() };
            (event.type_, event.display, event.window) = (type_, user.display, user.window);
            (event.keycode, event.same_screen) = (code.into(), 1);
            user.send(event.into());
        }
    }

    /// Where the window lies on the screen, and how large it is: left, top, width, height.
    pub fn place_of_window(&self) -> [i32; 4] {
        let user = User::connect(&self.name);
        // SAFETY: the connection is open; the attributes are numbers and pointers that may be null.
        unsafe {
            let mut place: xlib::XWindowAttributes = mem::zeroed();
            (user.xlib.XGetWindowAttributes)(user.display, user.window, &mut place);
            [place.x, place.y, place.width, place.height]
        }
    }

    /// The title of the window; empty while it has none.
    pub fn title(&self) -> String {
        let user = User::connect(&self.name);
        let mut name = ptr::null_mut();
        // SAFETY: the connection is open; the name ends in 0 and is freed once.
        unsafe {
            (user.xlib.XFetchName)(user.display, user.window, &mut name);
            if name.is_null() {
                return String::new();
            }
            let title = CStr::from_ptr(name).to_string_lossy().into_owned();
            (user.xlib.XFree)(name.cast());
            title
        }
    }

    /// The mean brightness, 0..=255, of a part of the window: left, top, width, height.
    pub fn brightness(&self, [left, top, width, height]: [i32; 4]) -> f64 {
        let user = User::connect(&self.name);
        // SAFETY: the connection is open; the picture is read while it exists, and destroyed once.
        unsafe {
            let (wide, high) = (width as u32, height as u32);
            let picture = (user.xlib.XGetImage)(user.display, user.window, left, top, wide, high, !0, xlib::ZPixmap);
            assert!(!picture.is_null());
            let mut sum = 0;
            for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
                sum += (user.xlib.XGetPixel)(picture, x, y) >> 8 & 0xff;
            }
            (user.xlib.XDestroyImage)(picture);
            sum as f64 / f64::from(width * height)
        }
    }

    /// Clicks with the left button at a pixel of the window, as a person does.
    pub fn click(&self, at: (i32, i32)) {
        self.move_mouse(at);
        thread::sleep(Duration::from_millis(60));
        for is_down in [true, false] {
            self.button(1, is_down);
            thread::sleep(Duration::from_millis(60));
        }
    }

    /// Moves the mouse to a pixel of the window.
    pub fn move_mouse(&self, (x, y): (i32, i32)) {
        let user = User::connect(&self.name);
        // SAFETY: the connection is open; 0 is no window.
        unsafe { (user.xlib.XWarpPointer)(user.display, 0, user.window, 0, 0, 0, 0, x, y) };
    }

    /// Presses or releases a button of the mouse: 1 is the left one, 4 and 5 are the wheel.
    pub fn button(&self, button: u32, is_down: bool) {
        let user = User::connect(&self.name);
        // SAFETY: integers, and a pointer that may be null.
        let mut event: xlib::XButtonEvent = unsafe { mem::zeroed() };
        event.type_ = if is_down { xlib::ButtonPress } else { xlib::ButtonRelease };
        (event.display, event.window, event.button, event.same_screen) = (user.display, user.window, button, 1);
        user.send(event.into());
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A connection to the server, and its only window.
struct User {
    xlib: Xlib,
    display: *mut xlib::Display,
    window: xlib::Window,
}

impl User {
    /// Waits for the server, which starts anew when its last user has gone, and for the window.
    fn connect(name: &str) -> Self {
        let xlib = Xlib::open().unwrap();
        let name = CString::new(name).unwrap();
        let start = Instant::now();
        // SAFETY: the name ends in 0.
        let open = || unsafe { (xlib.XOpenDisplay)(name.as_ptr()) };
        let mut display = open();
        while display.is_null() {
            assert!(start.elapsed() < DEADLINE, "the X server refuses connections");
            thread::sleep(Duration::from_millis(5));
            display = open();
        }
        let mut user = Self { xlib, display, window: 0 };
        loop {
            match user.windows().as_slice() {
                [window] => {
                    user.window = *window;
                    return user;
                }
                windows => assert!(start.elapsed() < DEADLINE, "{} windows", windows.len()),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn windows(&self) -> Vec<xlib::Window> {
        let (mut root, mut parent, mut list, mut count) = (0, 0, ptr::null_mut(), 0);
        // SAFETY: the connection is open; the list has the length returned with it and is freed once.
        unsafe {
            let all = (self.xlib.XDefaultRootWindow)(self.display);
            (self.xlib.XQueryTree)(self.display, all, &mut root, &mut parent, &mut list, &mut count);
            if list.is_null() {
                return Vec::new();
            }
            let windows = slice::from_raw_parts(list, count as usize).to_vec();
            (self.xlib.XFree)(list.cast());
            windows
        }
    }

    fn atom(&self, name: &str) -> xlib::Atom {
        let name = CString::new(name).unwrap();
        // SAFETY: the connection is open, and the name ends in 0.
        unsafe { (self.xlib.XInternAtom)(self.display, name.as_ptr(), 0) }
    }

    fn send(&self, mut event: xlib::XEvent) {
        // SAFETY: the connection is open, and the event outlives the call.
        unsafe { (self.xlib.XSendEvent)(self.display, self.window, 0, 0, &mut event) };
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // SAFETY: the connection is open and is not used again.
        unsafe { (self.xlib.XCloseDisplay)(self.display) };
    }
}
