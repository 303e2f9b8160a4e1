//! Holds many sessions in one process and does nothing with them: what an idle session costs.
//!
//! `idle_agents --connect HOST:PORT --token TOKEN --ca FILE --count N` prints `ready` once all are
//! connected, and holds them until it is killed.
#![allow(clippy::print_stdout, reason = "the measuring script reads it")]

use std::{
    collections::HashMap,
    env,
    error::Error,
    future::pending,
    io::{self, Write},
};

use adit_agent::{Agent, ConnectCas};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let option = |name: &str| {
        options
            .get(name)
            .ok_or_else(|| format!("--{name} is missing"))
    };
    let builder = Agent::builder()
        .connect_url(option("connect")?)
        .authtoken(option("token")?)
        .connect_cas(ConnectCas::File(option("ca")?.into()));
    let count: usize = option("count")?.parse()?;
    let mut agents = Vec::with_capacity(count);
    for _ in 0..count {
        agents.push(builder.clone().connect().await?);
    }
    println!("ready");
    io::stdout().flush()?;
    pending().await
}

fn options() -> Result<HashMap<String, String>, Box<dyn Error>> {
    let mut options = HashMap::new();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let name = word
            .strip_prefix("--")
            .ok_or_else(|| format!("\"{word}\" is no option"))?;
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}
