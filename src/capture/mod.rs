//! Where frames come from: camera, file, video, standard input, the built-in demo.
