//! An agent's connection: greeting, lane, control stream.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use adit_wire::{
    Incoming, Lane, Nothing, Side, Stream, control, frame, lane,
    limits::{GREETING_DEADLINE, GREETING_FRAME, OLDEST_VERSION, VERSION},
    message::{
        AgentMessage, Answer, GatewayMessage, Greeting, Hello, Join, RefusalCode, Refused, Welcome,
    },
};
use subtle::ConstantTimeEq;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    time::{timeout, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use super::{binds::Binds, credentials::Credential};
use crate::{
    core::Core,
    pools::session::{About, Session, Terms},
    token,
};

/// Control messages that may wait for a slow agent.
const QUEUE: usize = 256;

/// How long an agent may take to go whose session is ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// The user's own texts may not be longer; reference of the code: ERR_ADIT_100.
const METADATA: usize = 4096;

/// Bytes of an agent's id, and of the text that says what program it is.
const AGENT_ID: usize = 128;

/// Boxed, because it is handed from future to future, and each would keep a place of its size.
type AgentTls = Box<TlsStream<TcpStream>>;

/// Serves one connection of an agent, from the end of its TLS handshake to its own end.
pub(crate) async fn serve(core: Arc<Core>, mut tls: AgentTls, peer: SocketAddr) {
    let greeting = frame::read::<Greeting, _>(&mut tls, GREETING_FRAME);
    let greeting = match timeout(GREETING_DEADLINE, greeting).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(error)) => return debug!(%peer, %error, "no agent's greeting"),
        Err(_) => return debug!(%peer, "an agent's greeting took too long"),
    };
    let answered = match greeting {
        Greeting::Hello(hello) => Box::pin(begin(&core, &mut tls, hello, peer)).await,
        Greeting::Join(join) => Box::pin(extend(&core, &mut tls, &join)).await,
    };
    match answered {
        Ok((session, place)) => run(core, tls, session, place).await,
        Err(refused) => {
            info!(%peer, reason = %refused, "agent refused");
            refuse(tls, refused).await;
        }
    }
}

/// What [`run`] needs to go on: the session, and for lane 0 its queue of messages to the agent.
type Begun = (Arc<Session>, Place);

enum Place {
    First {
        say: mpsc::Receiver<GatewayMessage>,
        agent: Credential,
    },
    Further(u16),
}

async fn begin(
    core: &Core,
    tls: &mut AgentTls,
    hello: Hello,
    peer: SocketAddr,
) -> Result<Begun, Refused> {
    let edge = &core.edge;
    let agent = edge.credentials.authenticate(hello.token.expose())?;
    let version = agree(hello.versions)?;
    check_texts(&hello)?;
    let lane_count = edge.lane_count();
    let (say, queue) = mpsc::channel(QUEUE);
    let terms = Terms {
        owner: agent.entry.name.clone(),
        agent_id: hello.agent_id,
        epoch: hello.epoch,
        join_key: adit_wire::message::Token::new(token::generate().0),
        lane_count,
        version,
        dial_timeout: edge.limits().dial_timeout.0,
    };
    let join_key = terms.join_key.clone();
    let session = Arc::new(Session::new(terms, say));
    let client = hello.client;
    session.introduce(About {
        client: client.clone(),
        metadata: hello.metadata,
        peer: peer.ip(),
        since: SystemTime::now(),
    });
    edge.sessions.enter(&session)?;
    // The limits may have changed before the session could be found.
    session.set_dial_timeout(edge.limits().dial_timeout.0);
    let welcome = Answer::Welcome(Welcome {
        version,
        session: session.id,
        lanes: lane_count,
        join_key,
        heartbeat: session.heartbeat(|| edge.heartbeat()),
        server: concat!("adit/", env!("CARGO_PKG_VERSION")).into(),
    });
    if frame::write(tls, &welcome, GREETING_FRAME).await.is_err() {
        edge.sessions.leave(&session);
        return Err(lost());
    }
    info!(agent = %session.owner, session = session.id, %client, "agent connected");
    Ok((session, Place::First { say: queue, agent }))
}

async fn extend(core: &Core, tls: &mut AgentTls, join: &Join) -> Result<Begun, Refused> {
    let unknown = || Refused {
        code: RefusalCode::Stale,
        reason: "there is no such session".into(),
        retryable: true,
    };
    let session = core.edge.sessions.find(join.session).ok_or_else(unknown)?;
    let key = session.join_key.expose().as_bytes();
    if !bool::from(key.ct_eq(join.key.expose().as_bytes())) {
        return Err(unknown());
    }
    if join.lane == 0 || join.lane >= core.edge.lane_count() {
        return Err(Refused {
            code: RefusalCode::Protocol,
            reason: format!("there is no lane {}", join.lane),
            retryable: false,
        });
    }
    frame::write(tls, &Answer::Joined, GREETING_FRAME)
        .await
        .map_err(|_| lost())?;
    Ok((session, Place::Further(join.lane)))
}

/// Runs a lane until it ends. The end of lane 0 is the end of its session.
async fn run(core: Arc<Core>, tls: AgentTls, session: Arc<Session>, place: Place) {
    let (lane, mut incoming, driver) = lane(tls, Side::Gateway);
    core.spawn_agent(async move {
        if let Err(error) = driver.await {
            debug!(%error, "a lane broke");
        }
    });
    let index = match &place {
        Place::First { .. } => 0,
        Place::Further(index) => *index,
    };
    let control_by = tokio::time::Instant::now() + GREETING_DEADLINE;
    let Ok(Some(stream)) = timeout_at(control_by, incoming.accept()).await else {
        debug!(session = session.id, "the agent opened no control stream");
        lane.close();
        if index == 0 {
            end(&core, &session);
        }
        return;
    };
    if !session.add_lane(index, lane.clone()) {
        return lane.close();
    }
    match place {
        Place::First { say, agent } => {
            let mut binds = Binds::new(Arc::clone(&core.edge), Arc::clone(&session), agent);
            let why = run_first(
                &core,
                stream,
                &session,
                &mut incoming,
                &lane,
                say,
                &mut binds,
            )
            .await;
            let lost = !session.is_draining();
            end(&core, &session);
            binds.end(lost);
            // After a drain the connection breaks, and that is how it should be.
            let why = if lost { why } else { "drained".into() };
            info!(agent = %session.owner, session = session.id, why, "agent disconnected");
        }
        Place::Further(_) => run_further(&core, stream, &session, &mut incoming, &lane).await,
    }
    lane.close();
}

async fn run_first(
    core: &Core,
    stream: Stream,
    session: &Session,
    incoming: &mut Incoming,
    lane: &Lane,
    say: mpsc::Receiver<GatewayMessage>,
    binds: &mut Binds,
) -> String {
    let (hear, mut heard) = mpsc::channel::<AgentMessage>(16);
    let mut control = pin!(control(
        stream,
        session.heartbeat(|| core.edge.heartbeat()),
        &session.pulse,
        say,
        hear
    ));
    // What was said before the end is heard before the end.
    let why = tokio::select! {
        biased;
        why = &mut control => why.to_string(),
        over = binds.run(&mut heard) => match over {
            None => "closed by the agent".into(),
            Some(refused) => {
                let reason = refused.reason.clone();
                // An agent that understands it goes at once.
                if session.part(refused).await {
                    drop(timeout(GOODBYE, control).await);
                }
                reason
            }
        },
        () = session.end.cancelled() => "closed by the gateway".into(),
        () = lane.closed() => "connection closed".into(),
        Some(_) = incoming.accept() => {
            warn!(session = session.id, "the agent opened a stream of its own, which the protocol does not know");
            "protocol broken".into()
        }
    };
    while let Ok(message) = heard.try_recv() {
        if matches!(message, AgentMessage::Drain) {
            session.drain();
        }
    }
    why
}

async fn run_further(
    core: &Core,
    stream: Stream,
    session: &Session,
    incoming: &mut Incoming,
    lane: &Lane,
) {
    let (_hold, say) = mpsc::channel::<Nothing>(1);
    let (hear, _unused) = mpsc::channel::<Nothing>(1);
    let pulse = adit_wire::Pulse::new();
    let heartbeat = session.heartbeat(|| core.edge.heartbeat());
    tokio::select! {
        why = control(stream, heartbeat, &pulse, say, hear) => {
            debug!(session = session.id, %why, "a lane ended");
        }
        () = session.end.cancelled() => {}
        () = lane.closed() => {}
        Some(_) = incoming.accept() => debug!(session = session.id, "an unexpected stream on a lane"),
    }
}

fn end(core: &Core, session: &Session) {
    session.close();
    core.edge.sessions.leave(session);
}

fn agree((oldest, newest): (u16, u16)) -> Result<u16, Refused> {
    let version = newest.min(VERSION);
    if version < oldest.max(OLDEST_VERSION) {
        return Err(Refused {
            code: RefusalCode::Version,
            reason: format!(
                "the agent speaks protocol revisions {oldest} to {newest}, this gateway {OLDEST_VERSION} to {VERSION}; \
                 update the older one (ERR_ADIT_811)"
            ),
            retryable: false,
        });
    }
    Ok(version)
}

fn check_texts(hello: &Hello) -> Result<(), Refused> {
    let fault = if hello.metadata.len() > METADATA {
        "metadata is longer than 4096 bytes (ERR_ADIT_100)"
    } else if hello.agent_id.is_empty()
        || hello.agent_id.len() > AGENT_ID
        || !hello.agent_id.bytes().all(|byte| byte.is_ascii_graphic())
    {
        "the agent id is empty, too long or not plain text (ERR_ADIT_109)"
    } else if hello.client.len() > AGENT_ID {
        "the client text is too long (ERR_ADIT_109)"
    } else {
        return Ok(());
    };
    Err(Refused {
        code: RefusalCode::Protocol,
        reason: fault.into(),
        retryable: false,
    })
}

async fn refuse(mut tls: AgentTls, refused: Refused) {
    let goodbye = async {
        frame::write(&mut tls, &Answer::Refused(refused), GREETING_FRAME).await?;
        tls.shutdown().await?;
        Ok::<_, adit_wire::FrameError>(())
    };
    // The agent may be gone already.
    drop(timeout(Duration::from_secs(5), goodbye).await);
}

fn lost() -> Refused {
    Refused {
        code: RefusalCode::Unavailable,
        reason: "the connection was lost".into(),
        retryable: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_revision_is_used() {
        assert_eq!(agree((1, 1)), Ok(1));
        assert_eq!(agree((1, 9)), Ok(VERSION));
        assert_eq!(agree((8, 9)).unwrap_err().code, RefusalCode::Version);
        assert_eq!(agree((0, 0)).unwrap_err().code, RefusalCode::Version);
    }
}
