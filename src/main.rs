//! The `awing` program; everything is in the library.

fn main() -> std::process::ExitCode {
    awing::cli::main()
}
