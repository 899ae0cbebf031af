//! Files as other programs write them, imported.

use super::*;
use crate::runtime::geometry::Rect;
use crate::runtime::landmarks::{INTERPOLATED_WEIGHT, WFLW98_MIRROR, WFLW98_OF_IBUG68};
use crate::train::synth::Scene;
use serde_json::json;

const SIZE: (usize, usize) = (160, 120);

/// A folder with a picture of a face, and its exact points.
fn picture() -> (tempfile::TempDir, Vec<Point<FrameSpace>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut frame = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
    let points = Scene::demo(1, 1).draw(0.0, &mut frame)[0].to_vec();
    frame.save(&folder.path().join("face.png")).unwrap();
    (folder, points)
}

fn of68(points: &[Point<FrameSpace>]) -> Vec<Point<FrameSpace>> {
    WFLW98_OF_IBUG68.iter().map(|&i| points[i]).collect()
}

/// Imports a file of the folder and returns the rows.
fn imported(folder: &Path, name: &str) -> (Vec<CollectedFace>, Vec<String>) {
    let imported = import(&folder.join("collection"), &folder.join(name)).unwrap();
    let rows = Recording::read(&imported.recording).unwrap();
    assert_eq!(rows.len(), imported.faces);
    let copied = Frame::open(&imported.recording.join(&rows[0].image)).unwrap();
    assert_eq!(copied, Frame::open(&folder.join("face.png")).unwrap());
    (rows, imported.left_out)
}

fn assert_exact(row: &CollectedFace, points: &[Point<FrameSpace>]) {
    for (i, (&[x, y], p)) in row.points.iter().zip(points).enumerate() {
        assert!(p.distance(Point::new(x, y)) < 0.01, "point {i}: ({x}, {y}) instead of {p:?}");
    }
    assert_eq!((row.review, row.weight.as_ref()), (Review::Accepted, None));
    assert!((row.width, row.height) == SIZE && row.clip == "face");
    assert!(row.other[IMPORTED].as_str().is_some_and(|origin| origin.contains("face.")));
}

fn pts(points: &[Point<FrameSpace>]) -> String {
    let lines: String = points.iter().map(|p| format!("{} {}\n", p.x + 1.0, p.y + 1.0)).collect();
    format!("version: 1\nn_points: {}\n{{\n{lines}}}\n", points.len())
}

#[test]
fn a_pts_file_of_98_points_is_accepted_as_it_is() {
    let (folder, points) = picture();
    fs::write(folder.path().join("face.pts"), pts(&points)).unwrap();
    let (rows, left_out) = imported(folder.path(), "face.pts");
    assert_exact(&rows[0], &points);
    assert!(left_out.is_empty());
    let error = import(&folder.path().join("collection"), &folder.path().join("face.pts")).unwrap_err();
    assert!(format!("{error:#}").contains("import-face exists already"), "{error:#}");
}

#[test]
fn what_68_points_do_not_tell_has_no_weight_and_lies_near_its_place() {
    let (folder, points) = picture();
    fs::write(folder.path().join("face.pts"), pts(&of68(&points))).unwrap();
    let (rows, _) = imported(folder.path(), "face.pts");
    let weight = rows[0].weight.as_ref().unwrap();
    assert_eq!((weight[60], weight[1], weight[62]), (1.0, INTERPOLATED_WEIGHT, INTERPOLATED_WEIGHT));
    let face = Rect::around(points.iter().copied()).unwrap().side();
    for i in [38, 39, 40, 41, 47, 48, 49, 50, 96, 97] {
        assert_eq!(weight[i], 0.0);
        let [x, y] = rows[0].points[i];
        assert!(points[i].distance(Point::new(x, y)) < 0.06 * face, "point {i}: {:?} ({x}, {y})", points[i]);
    }
    assert_eq!(rows[0].review, Review::Accepted);
    // In WFLW's style the ends of the outline lie higher.
    assert!(rows[0].points[0][1] < points[0].y - 0.02 * face);
}

#[test]
fn coco_keypoints_keep_pixels_and_unplaced_points_have_no_weight() {
    let (folder, points) = picture();
    let keypoints = |visibility: fn(usize) -> i32| -> Vec<f32> {
        points.iter().enumerate().flat_map(|(i, p)| [p.x, p.y, visibility(i) as f32]).collect()
    };
    let coco = json!({
        "images": [{"id": 7, "file_name": "face.png", "width": SIZE.0, "height": SIZE.1}],
        "annotations": [
            {"id": 1, "image_id": 7, "keypoints": keypoints(|_| 2)},
            {"id": 2, "image_id": 7, "keypoints": keypoints(|i| if i == 96 { 0 } else { 1 })},
            {"id": 3, "image_id": 8, "keypoints": keypoints(|_| 2)},
            {"id": 4, "image_id": 7, "keypoints": [1, 2, 2]},
            {"id": 5, "image_id": 7},
        ],
    });
    fs::write(folder.path().join("labels.json"), coco.to_string()).unwrap();
    let (rows, left_out) = imported(folder.path(), "labels.json");
    assert!(rows.len() == 2 && rows[0].image == rows[1].image, "one picture, two faces");
    assert_eq!(rows[0].weight, None);
    assert!(rows[0].points.iter().zip(&points).all(|(a, p)| *a == [p.x, p.y]));
    let weight = rows[1].weight.as_ref().unwrap();
    assert!(weight[96] == 0.0 && weight[97] == 1.0);
    for (place, why) in [("annotation 3", "no image 8"), ("annotation 4", "1 point"), ("annotation 5", "no keypoints")]
    {
        assert!(left_out.iter().any(|line| line.contains(place) && line.contains(why)), "{left_out:?}");
    }
    assert_eq!(left_out.len(), 3);
}

#[test]
fn labelme_shapes_and_single_points_are_faces() {
    let (folder, points) = picture();
    let at = |p: &Point<FrameSpace>| [p.x + 0.5, p.y + 0.5];
    let mut shapes: Vec<_> = (points.iter().enumerate().rev())
        .map(|(i, p)| json!({"label": format!("p{}", i + 1), "points": [at(p)], "group_id": 4, "shape_type": "point"}))
        .collect();
    shapes
        .push(json!({"label": "face", "points": points.iter().map(at).collect::<Vec<_>>(), "shape_type": "linestrip"}));
    shapes.push(json!({"label": "box", "points": [[1, 2], [3, 4]], "shape_type": "rectangle"}));
    let labels =
        json!({"version": "5", "imagePath": "face.png", "imageWidth": SIZE.0, "imageHeight": SIZE.1, "shapes": shapes});
    fs::write(folder.path().join("face.json"), labels.to_string()).unwrap();
    let (rows, left_out) = imported(folder.path(), "face.json");
    assert_eq!(rows.len(), 2);
    rows.iter().for_each(|row| assert_exact(row, &points));
    assert!(left_out.len() == 1 && left_out[0].contains("shape 100 (box): it has 2 points"), "{left_out:?}");
}

#[test]
fn cvat_points_and_skeletons_are_faces() {
    let (folder, points) = picture();
    let at = |p: &Point<FrameSpace>| format!("{},{}", p.x + 0.5, p.y + 0.5);
    let together: Vec<_> = points.iter().map(at).collect();
    let apart: String = (points.iter().enumerate())
        .map(|(i, p)| format!("<points label=\"{i}\" outside=\"{}\" points=\"{}\"/>", u8::from(i == 97), at(p)))
        .collect();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations><version>1.1</version>\n\
         <image id=\"0\" name=\"face.png\" width=\"{}\" height=\"{}\">\n<box label=\"x\" xtl=\"1\"/>\
         <points label=\"face\" points=\"{}\"/><skeleton label=\"face\">{apart}</skeleton></image>\n\
         <image id=\"1\" name=\"away.png\" width=\"9\" height=\"9\"><points label=\"face\" points=\"{}\"/></image>\n\
         <image id=\"2\" name=\"face.png\"><points label=\"face\" points=\"1,2;3\"/></image></annotations>",
        SIZE.0,
        SIZE.1,
        together.join(";"),
        together.join(";"),
    );
    fs::write(folder.path().join("annotations.xml"), xml).unwrap();
    let (rows, left_out) = imported(folder.path(), "annotations.xml");
    assert_eq!(rows.len(), 2);
    assert!(rows[0].points.iter().zip(&points).all(|([x, y], p)| p.distance(Point::new(*x, *y)) < 0.01));
    assert_eq!(rows[1].weight.as_ref().map(|weight| (weight[97], weight[96])), Some((0.0, 1.0)));
    let has = |words: &[&str]| left_out.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has(&["annotations.xml:5", "away.png"]) && has(&["annotations.xml:6", "no points"]), "{left_out:?}");
}

#[test]
fn what_does_not_fit_is_told_file_by_file_and_the_rest_is_imported() {
    let (folder, points) = picture();
    let labels = folder.path().join("labels");
    fs::create_dir(&labels).unwrap();
    let add = |name: &str, text: String| {
        fs::copy(folder.path().join("face.png"), labels.join(name).with_extension("png")).unwrap();
        fs::write(labels.join(name), text).unwrap();
    };
    let mirrored: Vec<_> = WFLW98_MIRROR.iter().map(|&i| points[i]).collect();
    let outside: Vec<_> = points.iter().map(|p| Point::new(p.x + 500.0, p.y)).collect();
    add("good.pts", pts(&points));
    add("few.pts", pts(&points[..97]));
    add("mirrored.pts", pts(&mirrored));
    add("outside.pts", pts(&outside));
    add("one.pts", pts(&[Point::new(5.0, 5.0); 98]));
    add("broken.pts", "version: 1\nn_points: 98\n".into());
    add("other.json", "{\"a\": 1}".into());
    add("torn.json", "{\"shapes\": [".into());
    add("torn.xml", "<annotations>".into());
    add("track.xml", "<annotations><track id=\"0\"/></annotations>".into());
    fs::write(labels.join("lonely.pts"), pts(&points)).unwrap();
    fs::write(labels.join("damaged.pts"), pts(&points)).unwrap();
    fs::write(labels.join("damaged.png"), "no picture").unwrap();
    let result = import(&folder.path().join("collection"), &labels).unwrap();
    assert_eq!((result.faces, result.pictures), (1, 1));
    for (file, why) in [
        ("few.pts", "97 points"),
        ("mirrored.pts", "exchanged"),
        ("outside.pts", "outside its picture"),
        ("one.pts", "in one place"),
        ("broken.pts", "the file ends before"),
        ("other.json", "neither COCO"),
        ("torn.json", "EOF"),
        ("torn.xml", ""),
        ("track.xml", "CVAT for images 1.1"),
        ("lonely.pts", "no picture beside it"),
        ("damaged.pts", "damaged.png"),
    ] {
        let lines: Vec<_> = result.left_out.iter().filter(|line| line.contains(file)).collect();
        assert!(lines.len() == 1 && lines[0].contains(why), "{file}: {lines:?}");
        assert_eq!(lines[0].matches(file).count(), 1, "{lines:?}");
    }
    assert_eq!(result.left_out.len(), 11, "{:?}", result.left_out);
}

#[test]
fn if_nothing_fits_nothing_is_written() {
    let (folder, points) = picture();
    fs::write(folder.path().join("face.pts"), pts(&points[..20])).unwrap();
    let collection = folder.path().join("collection");
    let error = import(&collection, &folder.path().join("face.pts")).unwrap_err().to_string();
    assert!(error.contains("20 points") && error.contains("face.pts"), "{error}");
    assert!(!collection.exists());
    let empty = tempfile::tempdir().unwrap();
    let error = import(&collection, empty.path()).unwrap_err().to_string();
    assert!(error.contains("holds no labels"), "{error}");
    let error = import(&collection, &empty.path().join("away.pts")).unwrap_err().to_string();
    assert!(error.contains("away.pts"), "{error}");
}
