//! An X server without a screen, and the person in front of it who closes a window.

use std::ffi::{CString, c_long};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{mem, ptr, slice};
use x11_dl::xlib::{ClientMessage, Xlib};

/// An X server of its own, ended when dropped.
pub struct Display {
    server: Child,
    /// What `DISPLAY` has to say.
    pub name: String,
}

impl Display {
    pub fn start() -> Self {
        let mut command = Command::new("Xvfb");
        // It writes its number to standard output when it is ready.
        command.args(["-displayfd", "1", "-screen", "0", "1280x800x24"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().expect("Xvfb is installed (Debian, Ubuntu: sudo apt install xvfb)");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { server, name: format!(":{}", number.trim()) }
    }

    /// Does what the button in a window's corner does: asks every window to close itself. How many there are.
    pub fn close_windows(&self) -> usize {
        let xlib = Xlib::open().unwrap();
        let name = CString::new(self.name.as_str()).unwrap();
        // SAFETY: Xlib's functions are called as its manual says, on a connection that was opened here and with
        // pointers to values that outlive the calls; the list of windows has the length that comes with it.
        unsafe {
            let display = (xlib.XOpenDisplay)(name.as_ptr());
            assert!(!display.is_null());
            let atom = |name: &str| (xlib.XInternAtom)(display, CString::new(name).unwrap().as_ptr(), 0);
            let (protocols, close) = (atom("WM_PROTOCOLS"), atom("WM_DELETE_WINDOW"));
            let (mut root, mut parent, mut windows, mut count) = (0, 0, ptr::null_mut(), 0);
            (xlib.XQueryTree)(
                display,
                (xlib.XDefaultRootWindow)(display),
                &mut root,
                &mut parent,
                &mut windows,
                &mut count,
            );
            let all = if count == 0 { &[][..] } else { slice::from_raw_parts(windows, count as usize) };
            for &window in all {
                let mut message: x11_dl::xlib::XClientMessageEvent = mem::zeroed();
                (message.type_, message.window, message.format) = (ClientMessage, window, 32);
                message.message_type = protocols;
                message.data.set_long(0, close as c_long);
                (xlib.XSendEvent)(display, window, 0, 0, &mut message.into());
            }
            (xlib.XCloseDisplay)(display);
            count as usize
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
