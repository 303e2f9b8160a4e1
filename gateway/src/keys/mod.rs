//! The gateway's keys: kept in its data directory, made anew every thirty days.
//!
//! - [`schedule`]: when a key is made, used and forgotten
//! - [`mod@file`]: where they are kept

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use adit_policy::env::{self, Keys, SigningKey};
use arc_swap::ArcSwap;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{task::spawn_blocking, time};
use tracing::warn;

mod file;
mod schedule;

pub use self::file::KeysError;
use self::{
    file::{Kept, Key, Locked},
    schedule::{SEALING, SIGNING, Schedule},
};
use crate::edge::Edge;

/// How often it is looked whether a key is due, or another process has made one. Much less than a new key waits before
/// it is used.
const LOOKED_AFTER: Duration = Duration::from_secs(600);

/// The keys of a gateway. Several on one data directory have the same.
#[derive(Debug)]
pub(crate) struct Keyring {
    folder: PathBuf,
    keys: ArcSwap<Keys>,
}

impl Keyring {
    /// Opens the keys under `data_dir`, or makes the first ones.
    ///
    /// # Errors
    /// When they cannot be read or written, or others than their owner may.
    pub(crate) fn open(data_dir: &Path, now: SystemTime) -> Result<Self, KeysError> {
        let folder = data_dir.join("keys");
        let keys = ArcSwap::from_pointee(turned(&folder, now)?);
        Ok(Self { folder, keys })
    }

    /// Makes keys that are due, forgets those that nobody needs any more, and takes over what others have made.
    ///
    /// # Errors
    /// As [`Self::open`]; the keys in use stay.
    pub(crate) fn turn(&self, now: SystemTime) -> Result<(), KeysError> {
        self.keys.store(Arc::new(turned(&self.folder, now)?));
        Ok(())
    }
}

impl env::Keyring for Keyring {
    fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }
}

/// Keeps the keys of a gateway up to date, for as long as it is polled.
pub(crate) async fn keep(edge: Arc<Edge>) {
    let mut ticks = time::interval(LOOKED_AFTER);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let own = Arc::clone(&edge);
        let turned = spawn_blocking(move || own.keyring.turn(own.policy_env.clock().now()));
        if let Ok(Err(error)) = turned.await {
            warn!(%error, "the keys cannot be looked after; those in use stay");
        }
    }
}

/// The keys in a folder as they are to be at this moment.
fn turned(folder: &Path, now: SystemTime) -> Result<Keys, KeysError> {
    let locked = Locked::open(folder)?;
    let mut kept = locked.read()?;
    let new_sealing = turn(&mut kept.sealing, SEALING, now, || {
        let mut key = vec![0; 32];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| locked.failed("there is no randomness"))?;
        Ok(key)
    })?;
    let new_signing = turn(&mut kept.signing, SIGNING, now, || {
        SigningKey::generate().map_err(|error| locked.failed(error))
    })?;
    if new_sealing || new_signing {
        locked.write(&kept)?;
    }
    usable(&kept, now).map_err(|error| locked.failed(error))
}

/// Brings the keys of one kind up to date. Whether anything has changed.
fn turn(
    keys: &mut Vec<Key>,
    schedule: Schedule,
    now: SystemTime,
    make: impl FnOnce() -> Result<Vec<u8>, KeysError>,
) -> Result<bool, KeysError> {
    let due = schedule.is_due(&made(keys), now);
    if due {
        keys.push(Key::new(now, STANDARD.encode(make()?)));
    }
    let made = made(keys);
    let before = keys.len();
    let mut index = 0..;
    keys.retain(|_| {
        let index = index.next().unwrap_or_default();
        schedule.keeps(index, &made, now)
    });
    Ok(due || keys.len() < before)
}

fn made(keys: &[Key]) -> Vec<SystemTime> {
    keys.iter().map(Key::made).collect()
}

fn usable(kept: &Kept, now: SystemTime) -> Result<Keys, String> {
    let sealing = decoded(&kept.sealing, SEALING, now)?;
    let sealing: Vec<&[u8]> = sealing.iter().map(Vec::as_slice).collect();
    let signing = decoded(&kept.signing, SIGNING, now)?;
    let signing = signing.iter().map(|key| SigningKey::from_pkcs8(key));
    let signing: Result<_, _> = signing.collect();
    let keys = Keys::new(&sealing).map_err(|error| error.to_string())?;
    Ok(keys.signing(signing.map_err(|error| error.to_string())?))
}

/// The key that is used first, then the others.
fn decoded(keys: &[Key], schedule: Schedule, now: SystemTime) -> Result<Vec<Vec<u8>>, String> {
    let bytes = keys.iter().map(|key| STANDARD.decode(key.text()));
    let mut bytes: Vec<_> = bytes
        .collect::<Result<_, _>>()
        .map_err(|_| "a key is not in base64".to_owned())?;
    let used = schedule.used(&made(keys), now);
    if let Some(first) = bytes.get_mut(..=used) {
        first.rotate_right(1);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
