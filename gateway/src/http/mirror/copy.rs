//! One copy of a request: it waits for the request's end, is sent, and is compared when both have answered.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use adit_policy::{
    env::Env,
    mirror::{Answer, Copied, Difference, Settings, Skipped},
};
use bytes::Bytes;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tracing::info;

use super::{
    held::Held,
    send::{self, Answered},
};
use crate::{
    edge::Edge,
    fetch::{self, OnBehalf},
    http::traceparent::TraceId,
    mirrors::{Finding, MirrorReport, Place, Tally},
};

/// Bodies that are longer together are compared where it holds up nobody.
const AT_ONCE: usize = 16 * 1024;

/// The longest path that is reported.
const PATH: usize = 256;

/// A copy under way. It lives for three times its time-out at most: for the request's end, for the other endpoint's
/// answer, and for the service's.
pub(super) struct Copy {
    pub(super) edge: Weak<Edge>,
    pub(super) client: Client,
    /// The endpoint whose policy mirrors.
    pub(super) endpoint: String,
    pub(super) copied: Box<Copied>,
    pub(super) settings: Arc<Settings>,
    pub(super) held: Arc<Held>,
    pub(super) request_ended: oneshot::Receiver<Result<(), Skipped>>,
    pub(super) service_answered: oneshot::Receiver<Result<(), Skipped>>,
    pub(super) tally: Arc<Tally>,
    pub(super) place: Place,
}

/// On whose behalf a copy is sent.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Who the gateway believes the client to be.
    pub(super) address: SocketAddr,
    /// Whether it came by https.
    pub(super) tls: bool,
    /// How many requests of policies lie around its own.
    pub(super) hops: u8,
    /// Whether its request is a copy itself.
    pub(super) is_copy: bool,
    /// What is shown in the place of the request's target, if that came from a secret.
    pub(super) hidden_target: Option<String>,
    /// The trace that its request is part of.
    pub(super) trace_id: Option<TraceId>,
    /// True once the gateway is to end.
    pub(super) finishing: watch::Receiver<bool>,
}

/// Both answers, as far as there are any.
#[derive(Default)]
struct Both {
    service: Option<(Answer, Duration)>,
    mirror: Option<Answered>,
}

// === impl Copy ===

impl Copy {
    /// Runs to its end, and counts what came of it.
    pub(super) async fn run(mut self) {
        let mut finishing = self.client.finishing.clone();
        let mut both = Both::default();
        let finding = tokio::select! {
            finding = self.follow(&mut both) => finding,
            // Nobody learns anything from it any more.
            _ = finishing.wait_for(|finishing| *finishing) => Finding::Skipped(Skipped::Unfinished),
        };
        self.tally.count(&finding);
        if let (Some((_, service)), Some(mirror)) = (&both.service, &both.mirror) {
            self.tally.took(*service, mirror.took);
        }
        self.tell(&finding, &both);
        drop(self.place);
    }

    async fn follow(&mut self, both: &mut Both) -> Finding {
        match self.exchange_with_mirror().await {
            Ok(answered) => both.mirror = Some(answered),
            Err(finding) => return finding,
        }
        if let Err(why) = told(&mut self.service_answered, self.settings.timeout).await {
            return Finding::Skipped(why);
        }
        let Some((service, took)) = self.held.take_answer() else {
            return Finding::Skipped(Skipped::Unfinished);
        };
        both.service = Some((service.clone(), took));
        let Some(mirror) = both.mirror.as_ref().map(|mirror| mirror.answer.clone()) else {
            return Finding::Skipped(Skipped::Unfinished);
        };
        let Some(env) = self.edge.upgrade().map(|edge| edge.policy_env.clone()) else {
            return Finding::Skipped(Skipped::Unfinished);
        };
        match difference(&env, Arc::clone(&self.settings), service, mirror).await {
            Ok(None) => Finding::Same,
            Ok(Some(difference)) => Finding::Differs(difference),
            Err(why) => Finding::Skipped(why),
        }
    }

    /// The other endpoint's answer to the whole request.
    async fn exchange_with_mirror(&mut self) -> Result<Answered, Finding> {
        let within = self.settings.timeout;
        let ended = told(&mut self.request_ended, within).await;
        ended.map_err(Finding::Skipped)?;
        let body = self.held.request().take();
        let body = body.ok_or(Finding::Skipped(Skipped::Body))?;
        let io = {
            let edge = self.edge.upgrade();
            let edge = edge.ok_or(Finding::Skipped(Skipped::Unfinished))?;
            let endpoint = edge.serving(&self.copied.url);
            let offline = || Finding::Unanswered("the endpoint is offline".to_owned());
            fetch::on_behalf(
                &edge,
                OnBehalf {
                    client: self.client.address,
                    tls: self.client.tls,
                    hops: self.client.hops + 1,
                    to: endpoint.ok_or_else(offline)?,
                },
            )
        };
        let sent = send::send(io, &self.copied, body, &self.held, self.settings.max_body);
        match timeout(within, sent).await {
            Ok(answered) => answered.map_err(Finding::Unanswered),
            Err(_) => Err(Finding::Unanswered("no answer in time".to_owned())),
        }
    }

    /// Tells the operator of a difference, and of a mirror that does not answer.
    fn tell(&self, finding: &Finding, both: &Both) {
        let finding = match finding {
            Finding::Same | Finding::Skipped(_) => return,
            Finding::Differs(difference) => difference.to_string(),
            Finding::Unanswered(why) => format!("no answer: {why}"),
        };
        let path = match &self.client.hidden_target {
            Some(hidden) => hidden.as_str(),
            None => self.copied.target.split('?').next().unwrap_or_default(),
        };
        let report = MirrorReport {
            at: SystemTime::now(),
            trace_id: self.client.trace_id.map(|id| id.as_str().to_owned()),
            endpoint: self.endpoint.clone(),
            mirror: self.settings.id.clone(),
            url: self.copied.url.to_string(),
            method: self.copied.method.to_string(),
            path: path.chars().take(PATH).collect(),
            finding,
            status: both
                .service
                .as_ref()
                .map(|(answer, _)| answer.status.as_u16()),
            mirror_status: both
                .mirror
                .as_ref()
                .map(|mirror| mirror.answer.status.as_u16()),
            took: both.service.as_ref().map(|(_, took)| *took),
            mirror_took: both.mirror.as_ref().map(|mirror| mirror.took),
        };
        if let Some(unsaid) = self.tally.may_say() {
            info!(
                target: "adit::mirror",
                endpoint = report.endpoint, mirror = report.mirror, method = report.method, path = report.path,
                finding = report.finding, status = report.status, mirror_status = report.mirror_status,
                micros = report.took.map(micros), mirror_micros = report.mirror_took.map(micros), unsaid,
                "an answer differs"
            );
        }
        if let Some(edge) = self.edge.upgrade() {
            edge.mirrors.report(report);
        }
    }
}

/// Waits to be told something by the exchange, which may have ended before.
async fn told(
    by: &mut oneshot::Receiver<Result<(), Skipped>>,
    within: Duration,
) -> Result<(), Skipped> {
    match timeout(within, by).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) | Err(_) => Err(Skipped::Unfinished),
    }
}

async fn difference(
    env: &Env,
    settings: Arc<Settings>,
    service: Answer,
    mirror: Answer,
) -> Result<Option<Difference>, Skipped> {
    let length = |answer: &Answer| answer.body.as_ref().map_or(0, Bytes::len);
    let together = length(&service) + length(&mirror);
    let compare = move || {
        let max = settings.max_body;
        settings.compare.difference(&service, &mirror, max)
    };
    if together <= AT_ONCE {
        return Ok(compare());
    }
    let (found, difference) = oneshot::channel();
    let job = Box::new(move || drop(found.send(compare())));
    env.work().compute(job).await.map_err(|_| Skipped::Busy)?;
    difference.await.map_err(|_| Skipped::Unfinished)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
