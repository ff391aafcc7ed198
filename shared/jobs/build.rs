//! Builds again when a migration is added: the macro that embeds them doesn't notice.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
