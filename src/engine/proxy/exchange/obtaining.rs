//! Gets a request a connection to a backend: at once, or after a wait for one that was asked, or in line for a place.

use std::sync::Arc;

use super::{Exchange, Waiting};
use crate::http::MessageError;
use crate::proxy::affinity;
use crate::proxy::error::Error;
use crate::proxy::line::Line;
use crate::proxy::load_balancer::Got;
use crate::proxy::peer::{Context, Peer};
use crate::settings::deadline;
use crate::socketserver::Readiness;

impl Exchange {
    /// Gets a connection to a backend and prepares the request for it; or says what to wait for first.
    pub(super) fn obtain_connection(&mut self, client: &Peer, cx: &mut Context<'_>) -> Result<Option<Waiting>, Error> {
        if client.socket.is_broken() {
            return Err(Error::ClientGone);
        }
        let balancer = cx.balancer();
        if self.attempt.is_none() && self.spot.is_none() && self.tried.attempts == 0 {
            balancer.count_request();
            self.tried.key = affinity::key(&balancer.group().balance, &self.request, self.client);
            if balancer.has_line() {
                let line = Arc::clone(balancer.line());
                return self.stand_in(&line, client, cx);
            }
        }
        let got = self.ask(cx)?;
        self.go_on_with(got, client, cx)
    }

    /// With what the balancer had: says what to wait for, or prepares the request for its connection.
    fn go_on_with(&mut self, got: Got, client: &Peer, cx: &mut Context<'_>) -> Result<Option<Waiting>, Error> {
        match got {
            Got::Full => {
                let line = Arc::clone(cx.balancer().line());
                self.stand_in(&line, client, cx)
            }
            // It was called when the trial was over, and another one has begun: so the first one failed.
            Got::OnTrial(backend) if self.stands_in(&backend.awaiting_trial) => {
                if let Some((_, since)) = &self.spot {
                    self.facts.queued += cx.now.saturating_duration_since(*since);
                }
                Err(cx.balancer().why_none(&mut self.tried))
            }
            Got::OnTrial(backend) => self.stand_in(&backend.awaiting_trial, client, cx),
            Got::Connecting(attempt) => {
                self.leave_line(cx);
                let (token, deadline) = (attempt.token(), attempt.until());
                self.attempt = Some(attempt);
                let backend = Some((token, Readiness::WRITE));
                Ok(Some(Waiting { client: Readiness::NONE, backend, deadline }))
            }
            Got::Connection(link) => {
                self.leave_line(cx);
                self.prepare(link, client, cx);
                Ok(None)
            }
        }
    }

    fn stands_in(&self, line: &Arc<Line>) -> bool {
        self.spot.as_ref().is_some_and(|(spot, _)| spot.is_in(line))
    }

    /// With a place at a backend. There may be another that nobody was called for: because both became free while it came
    /// to stand there, or since the configuration was read anew.
    fn leave_line(&mut self, cx: &Context<'_>) {
        if let Some((spot, since)) = self.spot.take() {
            spot.leave();
            self.facts.queued += cx.now.saturating_duration_since(since);
            cx.balancer().call_if_free(cx.now);
        }
    }

    fn ask(&mut self, cx: &Context<'_>) -> Result<Got, Error> {
        let balancer = cx.balancer();
        let fresh = self.retries > 0;
        let got = balancer.forward_request(&mut self.tried, self.attempt.take(), fresh, cx);
        // A request that cannot be sent twice must not meet a connection that the backend has just closed.
        let once = !self.is_repeatable();
        match got {
            Ok(Got::Connection(link)) if link.reused && once && !link.connection.socket.is_quiet() => {
                drop(link);
                balancer.forward_request(&mut self.tried, None, true, cx)
            }
            got => got,
        }
    }

    /// Waits for its turn, until `timeouts.queue`; or goes on, if a place has become free while it came to stand there.
    fn stand_in(&mut self, line: &Arc<Line>, client: &Peer, cx: &mut Context<'_>) -> Result<Option<Waiting>, Error> {
        let (before, since) = self.spot.take().map_or((None, cx.now), |(spot, since)| (Some(spot), since));
        let until = deadline(since, cx.settings().timeouts.queue);
        if until <= cx.now {
            self.facts.queued += cx.now.saturating_duration_since(since);
            return Err(self.tried.take_failure().unwrap_or(Error::Full));
        }
        let caller = cx.worker.caller(client.socket.token());
        let (spot, is_first) = line.stand(caller, before, self.tried.ids());
        self.spot = Some((spot, since));
        if is_first {
            let got = self.ask(cx)?;
            let stays = match got {
                Got::Full => self.stands_in(cx.balancer().line()), // Nobody would call it elsewhere.
                Got::OnTrial(_) => true,
                Got::Connecting(_) | Got::Connection(_) => false,
            };
            if !stays {
                return self.go_on_with(got, client, cx);
            }
        }
        // Nobody calls when the time of one that is out is over.
        let in_line = self.stands_in(cx.balancer().line());
        let trial = in_line.then(|| cx.balancer().next_trial(cx.now)).flatten();
        let deadline = trial.map_or(until, |trial| until.min(trial));
        Ok(Some(Waiting { client: Readiness::CALLED, backend: None, deadline }))
    }

    /// A backend that broke off, or did not begin to answer in time, has failed; not so one that closed a connection
    /// which it had kept open for long enough.
    pub(super) fn blame(&mut self, defect: &MessageError, cx: &Context<'_>) {
        let answered = self.is_answered();
        let Some(link) = &mut self.link else { return };
        let died = defect.is_disconnect();
        let late = matches!(defect, MessageError::TimedOut);
        if answered || !(late || (died && !link.reused)) {
            return; // A response that is wrong may be the request's doing.
        }
        let why = defect.to_string();
        cx.balancer().blame(&mut link.claim, &why, cx.now);
    }

    /// The backend has answered: what that says of its health.
    pub(super) fn praise(&mut self, cx: &Context<'_>) {
        let status = self.response.status;
        let Some(link) = &mut self.link else { return };
        let balancer = cx.balancer();
        if balancer.group().fail_on_5xx && status.is_server_error() {
            balancer.blame(&mut link.claim, &format!("it answered {status}"), cx.now);
        } else {
            link.claim.succeed(cx.now);
        }
    }
}
