//! The effects of keys, clicks and menus.
//!
//! In: presses and clicks. Out: changed state of the window, settings and requests to the tracking thread. Failures are
//! messages in the window.

use super::SessionWindow;
use super::mouse::MouseEvent;
use crate::program::console::with_causes;
use crate::program::live::controls::{Request, Seek};
use crate::program::live::source::named_cameras;
use crate::program::live::takes;
use crate::program::output::serve::Action;
use crate::program::view::{Style, WindowCommand, WindowKey};
use crate::runtime::counted::counted;
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::named::Named as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Instant;

impl SessionWindow {
    pub(super) fn follow_mouse(&mut self) {
        let pointer = self.window.pointer();
        let Some(event) = self.mouse.follow(pointer, Instant::now()) else { return };
        self.needs_paint |= event != MouseEvent::Moved;
        if let Some(menu) = &mut self.menu {
            self.needs_paint |= menu.point_at(pointer.at);
            if event != MouseEvent::Moved {
                let command = menu.command_at(pointer.at);
                self.menu = None;
                if let Some(command) = command {
                    self.obey(command);
                }
            }
            return;
        }
        if event == MouseEvent::Moved {
            // The bar and faces answer to it; elsewhere it changes nothing, but may have left them.
            self.needs_paint = true;
            return;
        }
        if let Some((command, _)) = self.bar.command_at(pointer.at) {
            self.obey(command);
        } else if self.room.contains(pointer.at) {
            // The second click of a double click undoes the first.
            self.follow_or_release(pointer.at);
            if event == MouseEvent::DoubleClick {
                self.obey(WindowCommand::FullScreen);
            }
        }
    }

    /// Tracks only the face at this position, or all faces again.
    fn follow_or_release(&mut self, at: Point<CanvasSpace>) {
        let id = self.face_at(at).map_or(0, |face| face.id);
        let alone = &self.session.controls.alone;
        let before = alone.load(Ordering::Relaxed);
        let now = if before == 0 { id } else { 0 };
        if now != before {
            alone.store(now, Ordering::Relaxed);
            self.say(match now {
                0 => "Tracking all faces".into(),
                id => format!("Tracking only face {id}. Click to track all"),
            });
        }
    }

    pub(super) fn follow_keys(&mut self) {
        let Some(menu) = &mut self.menu else {
            for command in self.window.commands() {
                self.obey(command);
            }
            return;
        };
        for press in self.window.presses() {
            self.needs_paint = true;
            match press.key {
                WindowKey::Up | WindowKey::Down => menu.step(press.key == WindowKey::Down),
                key => {
                    let selected = menu.selected();
                    self.menu = None;
                    match key {
                        WindowKey::Enter | WindowKey::Space => self.obey(selected),
                        _ => {}
                    }
                    break;
                }
            }
        }
        if !self.window.is_open() {
            self.session.lifecycle.request_end();
        }
    }

    /// Lists the cameras, which may take two seconds, without delaying the picture.
    fn choose_camera(&mut self) {
        let (found, cameras) = mpsc::channel();
        let look = move || {
            // Nobody may be waiting any more.
            let _ = found.send(named_cameras().map_err(|error| with_causes(&error)));
        };
        match thread::Builder::new().name("cameras".into()).spawn(look) {
            Ok(_) => self.cameras = Some(cameras),
            Err(error) => self.say(format!("cannot look for cameras: {error}")),
        }
    }

    pub(super) fn open_camera_menu(&mut self) {
        let Some(cameras) = &self.cameras else { return };
        let found = match cameras.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("cannot look for cameras".into()),
        };
        self.cameras = None;
        self.needs_paint = true;
        match found {
            Ok(cameras) if cameras.is_empty() => self.say("There is no camera".into()),
            Ok(cameras) => self.menu = Some(self.camera_menu(cameras)),
            Err(reason) => self.say(reason),
        }
    }

    fn obey(&mut self, command: WindowCommand) {
        self.needs_paint = true;
        let look = self.painter.overlay.look;
        let network = &mut self.painter.network;
        let controls = &self.session.controls;
        match command {
            WindowCommand::Quit => self.session.lifecycle.request_end(),
            WindowCommand::Leave => self.leave(),
            WindowCommand::Help => {
                let next = self.help_page.map_or(0, |page| page + 1);
                self.help_page = (next == 0 || next < self.help_pages).then_some(next);
                // The help replaces the current message.
                self.message = None;
            }
            WindowCommand::Figures => self.shows_figures ^= true,
            WindowCommand::NextStyle => self.set_style(look.style.next()),
            WindowCommand::Style(style) => self.set_style(style),
            WindowCommand::ChooseStyle => self.menu = Some(self.style_menu()),
            WindowCommand::ChooseFaces => self.menu = Some(self.faces_menu()),
            WindowCommand::ChooseCamera => self.choose_camera(),
            WindowCommand::Boxes => self.painter.overlay.look.boxes ^= true,
            WindowCommand::Gauges => self.painter.overlay.look.gauges ^= true,
            WindowCommand::FullScreen => {
                if let Err(error) = self.window.toggle_full_screen() {
                    self.say(error.to_string());
                }
            }
            WindowCommand::Heatmaps => network.heatmaps ^= true,
            WindowCommand::Boundary => network.boundary ^= true,
            WindowCommand::Crop => network.crop ^= true,
            WindowCommand::Mirror => self.is_mirrored = Some(!self.painter.is_mirrored),
            WindowCommand::Smoothing => {
                let was_smooth = controls.is_smooth.fetch_not(Ordering::Relaxed);
                self.say(if was_smooth { "Smoothing off" } else { "Smoothing on" }.into());
            }
            WindowCommand::Pause => self.pause(),
            WindowCommand::PauseOrNeutral if self.status.is_file => self.pause(),
            WindowCommand::PauseOrNeutral | WindowCommand::Neutral => self.request(Request::SetNeutral),
            WindowCommand::Back | WindowCommand::Forward if !self.status.is_file => {
                self.say("The arrows go back and forward in a video".into());
            }
            WindowCommand::Back => self.request(Request::Seek(Seek::Back)),
            WindowCommand::Forward => self.request(Request::Seek(Seek::Forward)),
            WindowCommand::Snapshot => match takes::take_picture(&self.tracked, look) {
                Ok(path) => self.say(format!("Saved {}", path.display())),
                Err(error) => self.say(format!("{error:#}")),
            },
            WindowCommand::Record => self.request(Request::ToggleRecording(look)),
            WindowCommand::KeepFace => {
                if let Some(message) = self.session.collecting.keep(&self.tracked) {
                    self.say(message);
                }
            }
            WindowCommand::Collect => self.session.perform(Action::ToggleCollecting),
            WindowCommand::Tune => self.session.perform(Action::ToggleTuning),
            WindowCommand::OtherModel => self.session.perform(Action::OtherModel),
            WindowCommand::Faces(faces) => {
                controls.faces.store(faces, Ordering::Relaxed);
                self.say(format!("At most {}", counted(faces, "face")));
            }
            WindowCommand::FollowAlone => {}
            WindowCommand::Camera(number) => self.request(Request::Camera(number)),
            WindowCommand::NextCamera => self.request(Request::NextCamera),
            WindowCommand::Precision => self.request(Request::NextPrecision),
        }
        let is_without_map = self.inspector.views().iter().any(|view| view.map_size > 0 && view.boundary.is_empty());
        if command == WindowCommand::Boundary && is_without_map {
            self.say("This model has no boundary map".into());
        }
    }

    fn set_style(&mut self, style: Style) {
        self.painter.overlay.look.style = style;
        self.say(format!("Style: {style}"));
    }

    /// Closes the topmost element.
    fn leave(&mut self) {
        if self.help_page.take().is_some() {
            return;
        }
        if self.window.is_full_screen() {
            return self.obey(WindowCommand::FullScreen);
        }
        self.session.lifecycle.request_end();
    }

    fn pause(&mut self) {
        if !self.status.is_file {
            self.is_frozen ^= true;
        } else if self.status.is_at_end {
            self.session.controls.is_paused.store(false, Ordering::Relaxed);
            self.request(Request::Seek(Seek::Start));
        } else {
            self.session.controls.is_paused.fetch_not(Ordering::Relaxed);
        }
    }

    fn request(&self, request: Request) {
        if self.is_over {
            self.say("This was the last frame".into());
        } else {
            self.session.controls.request(request);
        }
    }
}
