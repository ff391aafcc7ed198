//! `export-service`: clips and stills of recordings, on a port of its own.

use clap::Parser;

/// Cuts clips and stills out of recordings, over gRPC and TVU's HTTP request.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    serve: server::ServeArgs,
}

#[tokio::main]
async fn start(cli: Cli) -> anyhow::Result<()> {
    let config = server::Config::load(cli.serve)?;
    server::telemetry();
    let shutdown = server::shutdown_signal()?;
    let listener = server::bind(&config, export_service::PLACE).await?;
    let suite = server::Suite::open(config).await?;
    let service = export_service::service(&suite);
    let workers = suite.run_workers(export_service::runners(&suite));
    server::serve(listener, service, suite.shared.clone(), shutdown).await?;
    suite.close(workers).await;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    // Before anything else: a child process that does media work is this very program.
    media::run_worker_if_requested();
    start(Cli::parse())
}
