//! The layout of the window: the picture on the left, beside it the help and the list of samples.
//!
//! In: the size of the window and of its text, in pixels. Out: widths of the columns. Nothing fails.

/// Width of the list over the height of the text.
const LIST: f32 = 13.5;
/// The narrowest view beside the list, over the height of the text ...
const VIEW_BESIDE_LIST: f32 = 26.0;
/// ... and beside the help.
const VIEW_BESIDE_HELP: f32 = 20.0;

/// Widths in pixels. The view begins at the left border; help and list have width 0 if there is no room for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub view: usize,
    pub help: usize,
    pub list: usize,
    pub height: usize,
    /// Whether the help covers the picture, because there is no room beside it.
    pub is_help_over: bool,
}

/// The columns wanted beside the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Columns {
    pub list: bool,
    /// The width of the help, if it is wanted.
    pub help: Option<f32>,
}

impl Layout {
    pub(super) fn new((width, height): (usize, usize), text: f32, columns: Columns) -> Self {
        let list = (LIST * text) as usize;
        let list = if columns.list && width >= list + (VIEW_BESIDE_LIST * text) as usize { list } else { 0 };
        let needed = columns.help.map_or(0, |help| help.ceil() as usize);
        let least = (VIEW_BESIDE_HELP * text) as usize;
        // The list gives way to the help.
        let (help, list) = match needed {
            0 => (0, list),
            _ if width >= needed + list + least => (needed, list),
            _ if width >= needed + least => (needed, 0),
            _ => (0, 0),
        };
        Self { view: width - help - list, help, list, height, is_help_over: needed > 0 && help == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lies_beside_the_face_where_there_is_room() {
        let columns = Columns { list: true, help: Some(380.0) };
        let large = Layout::new((1280, 720), 19.0, columns);
        assert!(large.help == 380 && large.list > 200 && large.view >= 600 && !large.is_help_over, "{large:?}");
        let medium = Layout::new((900, 600), 19.0, columns);
        assert!(medium.help == 380 && medium.list == 0 && !medium.is_help_over, "{medium:?}");
        let small = Layout::new((320, 240), 10.0, Columns { help: Some(250.0), ..columns });
        let usual = Layout::new((640, 480), 14.5, Columns { help: Some(322.0), ..columns });
        assert!(usual.help == 322 && usual.list == 0 && !usual.is_help_over, "{usual:?}");
        assert_eq!((small.view, small.help, small.list, small.is_help_over), (320, 0, 0, true));
        let without = Layout::new((1280, 720), 19.0, Columns { list: false, help: None });
        assert_eq!((without.view, without.is_help_over), (1280, false));
    }
}
