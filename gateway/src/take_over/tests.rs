//! Sockets change hands, or stay where they are.

use std::net::{TcpListener, TcpStream};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{predecessor::Predecessor, successor::Door, *};
use crate::sockets::{Role, listening::Listening, opened::Socket};

fn listening(roles: &[Role]) -> (Listening, Vec<std::net::SocketAddr>) {
    let listening = Listening::default();
    let mut addresses = Vec::new();
    for role in roles {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        addresses.push(listener.local_addr().unwrap());
        let socket = Socket {
            listener,
            kept: false,
            copy: false,
        };
        let open = listening.begin(socket, *role).unwrap();
        let accepts = listening.handed_over_token();
        tokio::spawn(async move {
            accepts.cancelled().await;
            drop(open);
        });
    }
    (listening, addresses)
}

#[tokio::test]
async fn the_sockets_change_hands_with_who_waits_in_their_queues() {
    let dir = TempDir::new().unwrap();
    let (old, addresses) = listening(&[Role::Https, Role::Http]);
    let waiting = TcpStream::connect(addresses[1]).unwrap();
    let stop = CancellationToken::new();
    let door = Door::open(dir.path(), false).unwrap();
    let (stopped, own) = (stop.clone(), dir.path().to_owned());
    let stepping_down = tokio::spawn(async move { door.wait(&old, &stopped).await });
    let (mut before, passed) = Predecessor::find(&own, TakeOver::Yes)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        passed
            .iter()
            .map(|one| (&*one.name, one.address))
            .collect::<Vec<_>>(),
        [("https", addresses[0]), ("http", addresses[1])]
    );
    assert!(
        !stop.is_cancelled(),
        "it serves until the new one has started"
    );
    before.step_down(vec![0, 1]).await;
    assert!(stop.is_cancelled());
    let successor = stepping_down.await.unwrap().unwrap().unwrap();
    let (_, peer) = passed[1].socket.accept().unwrap();
    assert_eq!(peer, waiting.local_addr().unwrap());
    drop(successor);
    before.ended().await;
}

#[tokio::test]
async fn nothing_has_happened_when_the_new_one_does_not_start() {
    let dir = TempDir::new().unwrap();
    let (old, _) = listening(&[Role::Https]);
    let stop = CancellationToken::new();
    let door = Door::open(dir.path(), false).unwrap();
    let (stopped, own) = (stop.clone(), dir.path().to_owned());
    let waiting = tokio::spawn(async move { door.wait(&old, &stopped).await });
    for _ in 0..3 {
        let found = Predecessor::find(&own, TakeOver::IfRunning).await.unwrap();
        drop(found.unwrap());
    }
    assert!(!stop.is_cancelled());
    stop.cancel();
    assert!(waiting.await.unwrap().unwrap().is_none());
    assert!(!socket_path(dir.path()).exists());
}

#[tokio::test]
async fn who_wants_to_take_over_from_nobody_is_told_so() {
    let dir = TempDir::new().unwrap();
    assert!(
        Predecessor::find(dir.path(), TakeOver::IfRunning)
            .await
            .unwrap()
            .is_none()
    );
    let why = Predecessor::find(dir.path(), TakeOver::Yes)
        .await
        .unwrap_err();
    assert!(why.to_string().contains("--take-over=if-running"), "{why}");
    // What a gateway leaves that has crashed is nobody, too.
    drop(Door::open(dir.path(), false).unwrap());
    assert!(socket_path(dir.path()).exists());
    assert!(
        Predecessor::find(dir.path(), TakeOver::IfRunning)
            .await
            .unwrap()
            .is_none()
    );
    assert!(Door::open(dir.path(), false).is_ok());
}

#[tokio::test]
async fn the_door_is_its_users_only_and_one_gateways() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let dir = TempDir::new().unwrap();
    let _door = Door::open(dir.path(), false).unwrap();
    let path = socket_path(dir.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(Door::open(dir.path(), false).is_err());
    assert!(Door::open(dir.path(), true).is_ok());
}
