//! A program that is nothing but a worker; for tests and tools that are none themselves.

fn main() {
    media::run_worker_if_requested();
    eprintln!("media_worker is started by a media::Pool, not by hand");
    std::process::exit(2);
}
