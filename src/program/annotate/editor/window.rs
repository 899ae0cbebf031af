//! The editor in its window.
//!
//! In: a folder, and a person at the window. Out: corrected faces on disk. Errors: a folder without faces, a display
//! that can't be opened or fails, a last change that can't be saved.

use super::command::{Command, command_of};
use super::deck::Deck;
use super::gesture::Grip;
use super::handles::Handle;
use super::painter::Painter;
use super::picking::Target;
use super::state::Editor;
use crate::program::console::say;
use crate::program::view::{CursorStyle, FirstSize, Window, on_display_lost};
use crate::runtime::counted::counted;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The size of the window at first, in pixels of a usual screen.
const SIZE: (usize, usize) = (1280, 760);
/// How often to poll mouse and keys while nothing changes.
const INPUT_INTERVAL: Duration = Duration::from_millis(8);

/// Shows the faces of a recording or a collection until the user quits or `end` is set. `scale`: pixels per pixel of a
/// usual screen, by default the desktop's scale.
///
/// # Errors
/// The folder holds no faces or can't be read, there is no display, or the last change can't be saved.
pub(crate) fn run(folder: &Path, scale: Option<f32>, end: &AtomicBool) -> Result<()> {
    let deck = Deck::open(folder)?;
    for path in &deck.left_out {
        say(&format!("awing: {} is in use by another awing and is skipped", path.display()));
    }
    if deck.len() == 0 {
        let way = format!("collect some with `awing capture`, or `awing annotate {} --import PATH`", folder.display());
        bail!("{} holds no faces: {way}", folder.display());
    }
    on_display_lost(|| {
        say("awing: the display is gone; every finished change is saved");
        1
    });
    let title = format!("awing annotate: {}", folder.display());
    let mut window = Window::open(&title, &FirstSize { picture: SIZE, scale, is_enlarged: false, foot: |_, _| 0 })
        .context("faces are corrected in a window")?;
    let screen = window.scale();
    let mut editor = Editor::new(deck, screen);
    let mut painter = Painter::default();
    let mut size = (0, 0);
    let mut needs_paint = true;
    while !editor.is_over() {
        if end.load(Ordering::Relaxed) || !window.is_open() {
            editor.save();
            break;
        }
        needs_paint |= editor.save_if_due() | editor.fade() | (window.size() != size);
        if std::mem::take(&mut needs_paint) {
            size = window.size();
            window.show(painter.paint(&mut editor, size, screen))?;
        } else {
            thread::sleep(INPUT_INTERVAL);
            window.keep()?;
        }
        needs_paint |= editor.point(window.pointer());
        let commands: Vec<Command> = window.presses().into_iter().filter_map(command_of).collect();
        needs_paint |= !commands.is_empty();
        commands.into_iter().for_each(|command| editor.obey(command));
        window.set_cursor(cursor(&editor));
    }
    let counts = editor.deck().counts();
    say(&format!(
        "{} of {} done: {} accepted, {} rejected; next: awing finetune --data {}",
        counts.done(),
        counted(counts.all, "face"),
        counts.accepted,
        counts.rejected,
        folder.display()
    ));
    if editor.is_unsaved() {
        bail!("the last change could not be saved ({})", editor.message().unwrap_or_default());
    }
    Ok(())
}

fn cursor(editor: &Editor) -> CursorStyle {
    if editor.is_panning() {
        return CursorStyle::ClosedHand;
    }
    let is_held = editor.grip().is_some();
    match editor.grip().map_or(editor.hover(), Target::Grip) {
        Target::Grip(Grip::Point(_)) => CursorStyle::Crosshair,
        Target::Grip(Grip::Part(_, Handle::Scale(0, _))) => CursorStyle::ResizeUpDown,
        Target::Grip(Grip::Part(_, Handle::Scale(_, 0))) => CursorStyle::ResizeLeftRight,
        Target::Grip(Grip::Part(_, Handle::Scale(..))) => CursorStyle::ResizeAll,
        Target::Grip(Grip::Part(_, Handle::Turn | Handle::Move)) if is_held => CursorStyle::ClosedHand,
        Target::Grip(Grip::Part(..)) => CursorStyle::OpenHand,
        Target::Curve(_) | Target::Nothing => CursorStyle::Arrow,
    }
}
