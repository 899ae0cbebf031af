//! The `awing` program; everything is in the library.

fn main() -> std::process::ExitCode {
    awing::run_program()
}
