//! A verdict as the gateway carries it out.

use adit_policy::{
    action::{Forward, Phase, Reply},
    exchange::HeaderEdit,
    verdict::{Place, Verdict},
};
use tracing::warn;

use super::{
    adapt::{self, Editable},
    errors::ErrorPage,
    exchange::Instead,
};
use crate::{front::ending::Closing, pools::endpoints::Endpoint};

/// What comes after a phase.
pub(super) enum Judged {
    GoOn,
    /// The end of the exchange's way.
    Instead(Instead),
    /// The same, but the response phase runs for it.
    Answer(Box<Reply>),
    /// Another endpoint serves the request, as this action wants it.
    Forward(Forward, Place),
}

/// `at`: the endpoint whose policy has spoken.
pub(super) fn judge(
    verdict: Verdict,
    edits: Vec<HeaderEdit>,
    onto: &mut impl Editable,
    at: &Endpoint,
    phase: Phase,
) -> Judged {
    at.counts.verdict(&verdict);
    let page = |page| Judged::Instead(Instead::Page(page));
    if matches!(verdict, Verdict::Continue | Verdict::Forward { .. })
        && adapt::replay(edits, onto).is_err()
    {
        return page(ErrorPage::internal());
    }
    match verdict {
        Verdict::Continue => Judged::GoOn,
        Verdict::Answer { reply, .. } => Judged::Answer(Box::new(reply)),
        Verdict::Deny { reply, .. } => Judged::Instead(Instead::Reply(Box::new(reply))),
        Verdict::Refuse { refusal, .. } => page(ErrorPage::refusal(refusal)),
        Verdict::Close { .. } => Judged::Instead(Instead::Close(Closing::Reset)),
        Verdict::Forward { forward, by } => Judged::Forward(forward, by),
        Verdict::Fault { fault, by } => {
            warn!(endpoint = %at.url, rule = %by, %fault, "a policy could not decide");
            page(ErrorPage::policy_fault(fault.status(phase), fault.code()))
        }
    }
}
