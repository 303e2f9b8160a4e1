//! What this gateway lends its policies: a way to fetch, keys, the memory of who has signed in, secrets, and time to
//! work.

use std::sync::Arc;

use adit_policy::env::Env;

use crate::{
    StartError, config::Config, fetch::Fetcher, keys::Keyring, logins::Logins, secrets::Vaults,
};

/// What is lent, and what the gateway needs of it itself.
pub(crate) struct Lent {
    pub(crate) fetcher: Fetcher,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) logins: Arc<Logins>,
    /// What policies may read that nobody may see.
    pub(crate) vaults: Arc<Vaults>,
    /// All of it.
    pub(crate) env: Env,
}

impl Lent {
    /// Opens what is kept in the data directory.
    ///
    /// # Errors
    /// When keys, sessions or files of authorities cannot be used.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let fetcher = Fetcher::new(&config.fetch)?;
        let env = fetcher.env();
        let keyring = Arc::new(Keyring::open(&config.data_dir, env.clock().now())?);
        let env = env.with_keys(Arc::<Keyring>::clone(&keyring));
        let logins = Arc::new(Logins::open(&config.data_dir, env.clone())?);
        let env = env.with_sessions(Arc::<Logins>::clone(&logins));
        let vaults = Vaults::open(&config.secrets, &config.agents);
        let env = env.with_secrets(vaults.of_operator());
        Ok(Self {
            fetcher,
            keyring,
            logins,
            vaults,
            env,
        })
    }
}
