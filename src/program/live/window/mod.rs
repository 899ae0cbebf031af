//! A session in its window: the latest frame, what stands around it, keys and mouse.
//!
//! In: the latest frame and its faces, whenever there is one. Out: settings and requests to the tracking thread, and
//! pictures that the person takes. It runs on the main thread, as windows require, and does nothing but show. What fails:
//! the display.
//!
//! | file | holds |
//! |---|---|
//! | `furniture` | bar, menus and help |
//! | `fading` | faces that come and go |
//! | `mouse` | moves and clicks |
//! | `words` | states and news in words |

mod fading;
mod furniture;
mod mouse;
mod words;

use super::collecting::CollectingStatus;
use super::controls::{Request, Seek, SessionStatus};
use super::figures::Figures;
use super::frame::TrackedFrame;
use super::inspector::NetworkInspector;
use super::options::DisplayOptions;
use super::painter::{Painter, Scene};
use super::session::Session;
use super::source::named_cameras;
use super::takes;
use super::tuning::TuningStatus;
use crate::program::console::with_causes;
use crate::program::output::serve::Action;
use crate::program::view::panel::{self, Place, TextLine};
use crate::program::view::{
    Bar, Menu, NetworkLayers, Room, ShownFace, Style, Window, WindowCommand, WindowKey, help, palette, veil,
};
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::named::Named as _;
use crate::runtime::track::Face;
use anyhow::Result;
use fading::Fading;
use mouse::{Mouse, MouseEvent};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};
use words::Sight;

/// How long the window waits for a frame before it looks at the keys again: a frame of a fast screen.
const KEY_INTERVAL: Duration = Duration::from_millis(15);
/// How long the way to help stays at the start.
const WELCOME_DURATION: Duration = Duration::from_secs(8);
/// How often the clock of a recording is painted at least.
const CLOCK_INTERVAL: Duration = Duration::from_millis(500);
/// A face that is followed alone and is away for longer is given up.
const ALONE_PATIENCE: Duration = Duration::from_secs(5);
/// The height of the figures' text over that of other text.
const FIGURES_TEXT: f32 = 0.85;
/// How much an old picture is darkened.
const DIMMED: f32 = 0.6;
/// A face answers to the mouse this far beyond its landmarks, over its longer side.
const FACE_MARGIN: f32 = 0.08;

type Cameras = Result<Vec<(u32, String)>, String>;

/// An open window and what it shows.
pub(super) struct SessionWindow {
    session: Arc<Session>,
    window: Window,
    painter: Painter,
    inspector: NetworkInspector,
    tracked: TrackedFrame,
    fading: Fading,
    status: SessionStatus,
    collecting: CollectingStatus,
    tuning: Option<TuningStatus>,
    /// Which changes of the model were seen.
    model_changes: u64,
    mouse: Mouse,
    bar: Bar,
    menu: Option<Menu>,
    /// The cameras, while they are looked for.
    cameras: Option<Receiver<Cameras>>,
    /// The size of the canvas that was painted last, in pixels, and the part that the picture has.
    size: (usize, usize),
    room: Room,
    needs_paint: bool,
    painted: Instant,
    /// As asked for; `None`: as suits the source.
    is_mirrored: Option<bool>,
    /// Whether a live picture stands still.
    is_frozen: bool,
    /// Whether no further frame will come.
    is_over: bool,
    shows_figures: bool,
    /// The page of help that is open, and how many there are.
    help_page: Option<usize>,
    help_pages: usize,
    /// When a face was last seen.
    face_seen: Instant,
    /// What was said last, and until when it is shown.
    message: Option<(String, Instant)>,
    /// The number of the last notice that was heard.
    heard: u64,
    figures: Figures,
}

impl SessionWindow {
    /// A session in `window`; its first frame may be empty.
    pub(super) fn new(window: Window, first: TrackedFrame, options: &DisplayOptions, session: Arc<Session>) -> Self {
        let mut painter = Painter::with(options.look);
        painter.overlay.scale = window.scale();
        let now = Instant::now();
        let mut fading = Fading::new();
        fading.set(&first.faces, &first.signals, false);
        Self {
            inspector: NetworkInspector::new(session.models.in_use()),
            model_changes: 0,
            tuning: None,
            session,
            window,
            painter,
            figures: Figures::new(first.number),
            tracked: first,
            fading,
            status: SessionStatus::default(),
            collecting: CollectingStatus::default(),
            mouse: Mouse::default(),
            bar: Bar::default(),
            menu: None,
            cameras: None,
            size: (0, 0),
            room: Room::default(),
            needs_paint: true,
            painted: now,
            is_mirrored: options.is_mirrored,
            is_frozen: false,
            is_over: false,
            shows_figures: false,
            help_page: None,
            help_pages: 1,
            face_seen: now,
            message: Some(("H: help".into(), now + WELCOME_DURATION)),
            heard: 0,
        }
    }

    /// Shows frames until the window is closed, the end is requested, or no further frame comes.
    ///
    /// # Errors
    /// If the display fails.
    pub(super) fn run(&mut self) -> Result<()> {
        let session = self.session.clone();
        let mut next = TrackedFrame::default();
        let mut is_new = self.tracked.frame.width() > 0;
        while session.lifecycle.is_running() {
            self.read_status();
            if std::mem::take(&mut self.needs_paint) {
                self.show(is_new)?;
            } else {
                self.window.keep()?;
            }
            self.follow_mouse();
            self.follow_keys();
            if session.observer.is_satisfied() {
                session.lifecycle.request_end();
            }
            // Asked before the last frame is taken, so that it is not missed.
            self.is_over = !session.lifecycle.is_tracking();
            let has_come = session.latest.take(&mut next, KEY_INTERVAL);
            is_new = has_come && !self.is_frozen;
            if is_new {
                std::mem::swap(&mut self.tracked, &mut next);
                self.fading.set(&self.tracked.faces, &self.tracked.signals, self.status.is_slide_show);
                self.inspector.invalidate();
                self.needs_paint = true;
            }
            if self.is_over && !has_come {
                break;
            }
        }
        Ok(())
    }

    /// Takes over the status that the tracking thread reports, and notices whatever else changes the picture.
    fn read_status(&mut self) {
        let session = self.session.clone();
        session.gather_news();
        let status = session.controls.status();
        if *status != self.status {
            self.status.clone_from(&status);
            self.needs_paint = true;
        }
        drop(status);
        let name = if self.status.source.is_empty() { String::new() } else { format!("{} - ", self.status.source) };
        self.window.set_title(&format!("{name}awing"));
        let collecting = self.session.collecting.status();
        self.needs_paint |= std::mem::replace(&mut self.collecting, collecting) != collecting;
        let tuning = self.session.tuning.status();
        self.needs_paint |= std::mem::replace(&mut self.tuning, tuning) != tuning;
        if let Some(model) = session.models.changed_since(&mut self.model_changes) {
            self.inspector = NetworkInspector::new(model);
            self.needs_paint = true;
        }
        if let Some(notice) = session.notices.after(self.heard) {
            self.heard = notice.number;
            self.message = Some((notice.text, Instant::now() + notice.shown));
            self.needs_paint = true;
        }
        if self.message.as_ref().is_some_and(|(_, until)| Instant::now() > *until) {
            self.message = None;
            self.needs_paint = true;
        }
        self.open_camera_menu();
        self.look_for_faces();
        self.fading.pass(Instant::now());
        self.needs_paint |= self.fading.is_moving();
        self.needs_paint |= self.window.size() != self.size;
        // Clocks also run while the picture stands still.
        self.needs_paint |= self.painted.elapsed() > CLOCK_INTERVAL;
    }

    /// Notes since when there has been no face, and gives up one that is followed alone and does not come back.
    fn look_for_faces(&mut self) {
        if !self.tracked.faces.is_empty() || !self.is_running() {
            self.face_seen = Instant::now();
        }
        let alone = &self.session.controls.alone;
        if alone.load(Ordering::Relaxed) != 0 && self.face_seen.elapsed() > ALONE_PATIENCE {
            alone.store(0, Ordering::Relaxed);
            self.say("Following everybody again".into());
        }
    }

    /// Whether new frames are shown.
    fn is_running(&self) -> bool {
        self.status.trouble.is_none() && !self.status.is_at_end && !self.is_paused() && !self.is_over
    }

    /// Whether the picture stands still because the person asked for it.
    fn is_paused(&self) -> bool {
        self.is_frozen || (self.status.is_file && self.session.controls.is_paused.load(Ordering::Relaxed))
    }

    /// Paints everything and puts it on the screen.
    fn show(&mut self, is_new: bool) -> Result<()> {
        let start = Instant::now();
        if self.painter.network.any()
            && let Err(error) = self.inspector.look(&self.tracked, self.status.precision)
        {
            self.painter.network = NetworkLayers::default();
            self.say(format!("{error:#}"));
        }
        self.paint();
        self.painted = start;
        let painting_s = start.elapsed().as_secs_f32();
        self.window.show(self.painter.canvas())?;
        if is_new {
            self.figures.count(&self.tracked, painting_s, self.status.is_live);
            self.session.observer.after_display(&self.tracked, true);
        }
        Ok(())
    }

    fn paint(&mut self) {
        self.size = self.window.size();
        let (size, scale) = (self.size, self.window.scale());
        let text = panel::text_size_of(size, scale);
        self.painter.is_mirrored = self.is_mirrored.unwrap_or(self.status.is_live);
        let whole = Room { left: 0, top: 0, width: size.0, height: size.1 - Bar::height(size, scale) };
        let help = self.help_page.map(|page| {
            let groups = self.help();
            let layout = help::layout(&groups, whole, text);
            (page, groups, layout)
        });
        self.room = help.as_ref().map_or(whole, |(.., layout)| layout.picture);
        let pointed = self.mouse.points_at(Instant::now()).and_then(|at| self.face_at(at)).map(|face| face.id);
        let faces: Vec<ShownFace<'_>> = self.fading.shown().collect();
        let scene = Scene { frame: &self.tracked.frame, faces: &faces, views: self.inspector.views() };
        self.painter.paint(&scene, size, self.room);
        if let Some((page, groups, layout)) = help {
            self.help_pages = layout.pages;
            help::draw(self.painter.canvas(), &groups, &layout, page);
        }
        self.paint_words(text);
        if let (Some(id), None) = (pointed, &self.menu) {
            self.paint_about(id, text);
        }
        let [left, right] = self.bar_items();
        let pointer = self.mouse.at();
        self.bar.draw(self.painter.canvas(), scale, left, right, pointer);
        if let Some(menu) = &mut self.menu {
            menu.draw(self.painter.canvas(), whole.height, scale);
        }
    }

    /// Figures, the state of the picture and news.
    fn paint_words(&mut self, text: f32) {
        let (room, alone) = (self.room, self.session.controls.alone.load(Ordering::Relaxed));
        let picture = self.painter.placement(&self.tracked.frame, room).picture();
        let sight = Sight {
            is_empty: self.tracked.frame.width() == 0,
            is_paused: self.is_paused(),
            faces: self.tracked.faces.len(),
            without_face: self.face_seen.elapsed(),
            missed: (alone != 0 && self.tracked.faces.is_empty()).then_some(alone),
            looks_into_network: self.painter.network.any(),
        };
        let state = words::state(&self.status, &sight);
        let news = words::news(self.collecting, self.tuning, self.message.as_ref().map(|(text, _)| text));
        let canvas = self.painter.canvas();
        if state.as_ref().is_some_and(|state| state.is_dimmed) {
            veil(canvas, picture, palette::BACKGROUND, DIMMED);
        }
        if self.shows_figures {
            let frame = &self.tracked.frame;
            let source = format!("{}, {}x{}", self.status.source, frame.width(), frame.height());
            let figures = self.figures.text.iter().filter(|_| self.status.trouble.is_none());
            let mut lines: Vec<_> = figures.map(|text| TextLine::new(panel::PLAIN, text)).collect();
            lines.extend([&source, &self.status.computing].map(|text| TextLine::new(panel::QUIET, text)));
            panel::lines_in(canvas, room, Place::UpperLeft, FIGURES_TEXT * text, &lines);
        }
        if let Some(state) = state {
            let place = if state.is_dimmed { Place::Middle } else { Place::Top };
            panel::lines_in(canvas, room, place, text, &state.lines);
        }
        panel::lines_in(canvas, room, Place::LowerLeft, text, &news);
    }

    /// What is known of a face, beside it.
    fn paint_about(&mut self, id: u64, text: f32) {
        let Some(face) = self.tracked.faces.iter().find(|face| face.id == id) else { return };
        let signals = self.tracked.signals.iter().find(|signals| signals.id == id);
        let is_alone = self.session.controls.alone.load(Ordering::Relaxed) == id;
        let lines = words::about(face, signals, is_alone);
        let placement = self.painter.placement(&self.tracked.frame, self.room);
        let (rect, margin) = (&face.rect, FACE_MARGIN * face.rect.side());
        let corners = [(rect.x - margin, rect.y), (rect.x + rect.width + margin, rect.y + rect.height + margin)];
        let [a, b] = corners.map(|(x, y)| placement.canvas_from_frame(Point::new(x, y)));
        let size = FIGURES_TEXT * text;
        let (width, height) = panel::lines_extent(size, &lines);
        let room = self.room;
        let (room_right, room_bottom) = ((room.left + room.width) as f32, (room.top + room.height) as f32);
        let (left, right) = (a.x.min(b.x), a.x.max(b.x));
        let (x, y) = if right + width < room_right {
            (right, a.y)
        } else if left - width > room.left as f32 {
            (left - width, a.y)
        } else if b.y + height < room_bottom {
            (left, b.y)
        } else {
            (left, a.y - height)
        };
        panel::lines_in(self.painter.canvas(), room, Place::At(x as i32, y as i32), size, &lines);
    }

    fn face_at(&self, at: Point<CanvasSpace>) -> Option<&Face> {
        if !self.room.contains(at) {
            return None;
        }
        let at = self.painter.placement(&self.tracked.frame, self.room).frame_from_canvas(at);
        let is_there = |face: &&Face| {
            let (rect, margin) = (&face.rect, FACE_MARGIN * face.rect.side());
            (rect.x - margin..rect.x + rect.width + margin).contains(&at.x)
                && (rect.y - margin..rect.y + rect.height + margin).contains(&at.y)
        };
        let faces = self.tracked.faces.iter().filter(is_there);
        faces.min_by(|a, b| a.rect.side().total_cmp(&b.rect.side()))
    }

    fn follow_mouse(&mut self) {
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
            // The second click of two takes back what the first has done.
            self.follow_or_release(pointer.at);
            if event == MouseEvent::DoubleClick {
                self.obey(WindowCommand::FullScreen);
            }
        }
    }

    /// Follows the face at this place alone, or everybody again.
    fn follow_or_release(&mut self, at: Point<CanvasSpace>) {
        let id = self.face_at(at).map_or(0, |face| face.id);
        let alone = &self.session.controls.alone;
        let before = alone.load(Ordering::Relaxed);
        let now = if before == 0 { id } else { 0 };
        if now != before {
            alone.store(now, Ordering::Relaxed);
            self.say(match now {
                0 => "Following everybody".into(),
                id => format!("Following face {id} alone. Click to follow everybody"),
            });
        }
    }

    fn follow_keys(&mut self) {
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

    /// Looks for cameras, which may take two seconds, without holding the picture up.
    fn choose_camera(&mut self) {
        let (found, cameras) = mpsc::channel();
        let look = move || {
            // Nobody may be waiting any more.
            let _ = found.send(named_cameras().map_err(|error| with_causes(&error)));
        };
        match thread::Builder::new().name("cameras".into()).spawn(look) {
            Ok(_) => self.cameras = Some(cameras),
            Err(error) => self.say(format!("cameras can't be looked for: {error}")),
        }
    }

    fn open_camera_menu(&mut self) {
        let Some(cameras) = &self.cameras else { return };
        let found = match cameras.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("cameras can't be looked for".into()),
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
                // What it may still say is said better.
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
                self.say("The arrows go back and on in a video".into());
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
                self.say(if faces == 1 { "At most 1 face".into() } else { format!("At most {faces} faces") });
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

    /// Closes what lies uppermost.
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

    /// Shows a message; pages show it, too.
    fn say(&self, message: String) {
        self.session.notices.say(message);
    }
}
