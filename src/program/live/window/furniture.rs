//! The elements around the picture: the items of the bar, the menus, the rows of help.
//!
//! In: settings and state of the session. Out: elements for `view` to draw. Nothing fails.

use super::SessionWindow;
use crate::program::view::help::{HelpGroup, HelpRow};
use crate::program::view::palette::{ACCENT, ALARM, PLAIN, QUIET, RECORDING};
use crate::program::view::{BarItem, KEY_GROUPS, Menu, MenuItem, Style, WindowCommand, elided};
use crate::runtime::named::Named;
use std::sync::atomic::Ordering;

/// The most letters of the source's name in the bar.
const SOURCE_LETTERS: usize = 24;
/// The most faces that the menu offers.
const MOST_FACES: usize = 9;

impl SessionWindow {
    /// The items of the bar, from the left and from the right.
    pub(super) fn bar_items(&self) -> [Vec<BarItem>; 2] {
        let item = |text: String, color, command, importance| BarItem { text, color, command, importance };
        let mut left = Vec::new();
        if let Some(rate) = self.figures.rate.filter(|_| self.is_running()) {
            left.push(item(format!("{rate:.0} frames/s"), PLAIN, Some(WindowCommand::Figures), 8));
        }
        let source = format!("{} \u{25be}", elided(&self.status.source, SOURCE_LETTERS));
        left.push(item(source, QUIET, Some(WindowCommand::ChooseCamera), 7));
        if self.status.is_file && !self.status.is_slide_show {
            let seconds = self.tracked.time_s.max(0.0) as u64;
            left.push(item(format!("{}:{:02}", seconds / 60, seconds % 60), QUIET, Some(WindowCommand::Pause), 3));
        }
        if let Some(profile) = &self.status.profile {
            left.push(item(elided(profile, SOURCE_LETTERS), QUIET, None, 6));
        }
        let faces = self.session.controls.faces.load(Ordering::Relaxed);
        let on = |is_on: bool| if is_on { ACCENT } else { PLAIN };
        let (record, color) = match self.status.recording_since {
            Some(since) => {
                let seconds = since.elapsed().as_secs();
                (format!("\u{25cf} Stop {}:{:02}", seconds / 60, seconds % 60), RECORDING)
            }
            None => ("Record".into(), PLAIN),
        };
        let collect = if self.collecting.is_choosing { ALARM } else { PLAIN };
        let right = vec![
            item("Style".into(), PLAIN, Some(WindowCommand::ChooseStyle), 5),
            item(format!("Faces {faces}"), PLAIN, Some(WindowCommand::ChooseFaces), 4),
            item(record, color, Some(WindowCommand::Record), if color == RECORDING { 9 } else { 6 }),
            item("Snapshot".into(), PLAIN, Some(WindowCommand::Snapshot), 4),
            item("Capture".into(), collect, Some(WindowCommand::Collect), 2),
            item("Tune".into(), on(self.tuning.is_some()), Some(WindowCommand::Tune), 1),
            item("Help".into(), on(self.help_page.is_some()), Some(WindowCommand::Help), 9),
        ];
        [left, right]
    }

    /// The menu of styles.
    pub(super) fn style_menu(&self) -> Menu {
        let items = Style::VARIANTS.iter().map(|&(style, name, meaning)| MenuItem {
            text: format!("{name}: {}", lower_first(meaning)),
            command: WindowCommand::Style(style),
            is_current: style == self.painter.overlay.look.style,
        });
        let gauges = MenuItem {
            text: "gauges of head, eyes, gaze and mouth".into(),
            command: WindowCommand::Gauges,
            is_current: self.painter.overlay.look.gauges,
        };
        Menu::new(items.chain([gauges]).collect(), self.bar.left_of(WindowCommand::ChooseStyle))
    }

    /// The menu of maximum numbers of faces.
    pub(super) fn faces_menu(&self) -> Menu {
        let faces = self.session.controls.faces.load(Ordering::Relaxed);
        let items = (1..=MOST_FACES).map(|n| MenuItem {
            text: if n == 1 { "1 face".into() } else { format!("at most {n} faces") },
            command: WindowCommand::Faces(n),
            is_current: n == faces,
        });
        Menu::new(items.collect(), self.bar.left_of(WindowCommand::ChooseFaces))
    }

    /// The menu of cameras; at least one.
    pub(super) fn camera_menu(&self, cameras: Vec<(u32, String)>) -> Menu {
        let items = cameras.into_iter().map(|(number, name)| {
            let text = format!("camera {number} ({name})");
            MenuItem { is_current: self.status.source == text, text, command: WindowCommand::Camera(number) }
        });
        Menu::new(items.collect(), self.bar.left_of(WindowCommand::ChooseCamera))
    }

    /// Help with the current settings.
    pub(super) fn help(&self) -> Vec<HelpGroup> {
        let groups = KEY_GROUPS.iter().map(|group| HelpGroup {
            title: group.title,
            rows: group
                .keys
                .iter()
                .map(|key| HelpRow { name: key.name, action: key.action, setting: self.setting_of(key.command) })
                .collect(),
        });
        groups.collect()
    }

    fn setting_of(&self, command: WindowCommand) -> String {
        let overlay = &self.painter.overlay;
        let network = self.painter.network;
        let controls = &self.session.controls;
        let is_on = match command {
            WindowCommand::Figures => self.shows_figures,
            WindowCommand::Boxes => overlay.look.boxes,
            WindowCommand::Gauges => overlay.look.gauges,
            WindowCommand::FullScreen => self.window.is_full_screen(),
            WindowCommand::Heatmaps => network.heatmaps,
            WindowCommand::Boundary => network.boundary,
            WindowCommand::Crop => network.crop,
            WindowCommand::Mirror => self.painter.is_mirrored,
            WindowCommand::Smoothing => controls.is_smooth.load(Ordering::Relaxed),
            WindowCommand::Pause => self.is_paused(),
            WindowCommand::Record => self.status.recording_since.is_some(),
            WindowCommand::Collect => self.collecting.is_choosing,
            WindowCommand::Tune => self.tuning.is_some(),
            WindowCommand::NextStyle => return overlay.look.style.to_string(),
            WindowCommand::KeepFace => return format!("{} kept", self.collecting.faces),
            WindowCommand::OtherModel => {
                let is_tuned = self.session.models.is_tuned() == Some(true);
                return if is_tuned { "tuned" } else { "bundled" }.into();
            }
            WindowCommand::Faces(_) => return controls.faces.load(Ordering::Relaxed).to_string(),
            WindowCommand::FollowAlone => {
                return match controls.alone.load(Ordering::Relaxed) {
                    0 => "all".into(),
                    id => format!("face {id}"),
                };
            }
            WindowCommand::NextCamera if self.status.is_live => return self.status.source.clone(),
            WindowCommand::Precision => {
                return self.status.computing.split(' ').next().unwrap_or_default().to_owned();
            }
            _ => return String::new(),
        };
        if is_on { "on" } else { "off" }.into()
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
