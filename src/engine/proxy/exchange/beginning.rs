//! What is decided of a request before it goes on: how long its content is, which route it takes, and whether it may.

use std::sync::Arc;

use super::{Exchange, retry};
use crate::http::body::BodyDecoder;
use crate::http::relay::Relay;
use crate::http::{BodyFraming, Field, HttpVersion, MessageError, framing};
use crate::proxy::error::Error;
use crate::proxy::hop_by_hop::ConnectionOptions;
use crate::proxy::peer::{Context, Peer};
use crate::proxy::request;
use crate::settings::deadline;

impl Exchange {
    /// Looks at the request as a whole: what is it, where does it go, and may it?
    ///
    /// # Errors
    /// What is to be answered instead.
    pub(in crate::proxy) fn begin(&mut self, client: &Peer, cx: &mut Context<'_>) -> Result<(), Error> {
        let head = &self.request;
        let options = ConnectionOptions::of(&head.headers);
        self.keep = match head.version {
            HttpVersion::Http11 => !options.close,
            HttpVersion::Http10 => options.keep_alive && !options.close,
        };
        request::check_request(head)?;
        self.framing = framing::of_request(head).map_err(Error::Client)?;
        self.upgrade = self.framing == BodyFraming::None && request::wants_websocket(head, &options);
        self.client = cx.site.client(client.address.ip(), head);
        cx.route = Some(Arc::clone(cx.site.route(head)?));
        if !cx.route().admits(self.client) {
            return Err(Error::Denied);
        }
        let limits = &cx.settings().limits;
        if self.framing.exceeds(limits.body) {
            return Err(Error::Client(MessageError::ContentTooLarge));
        }
        let keeps_trailer = options.leave_ordinary(&cx.route().settings.request_headers);
        self.begin_upload(keeps_trailer, cx);
        self.unasked = self.upload.is_some() && self.request.headers.has(Field::Expect);
        if self.unasked && self.request.expects_continue() {
            self.expects_until = Some(deadline(cx.now, cx.settings().timeouts.expect));
        }
        Ok(())
    }

    fn begin_upload(&mut self, keeps_trailer: bool, cx: &Context<'_>) {
        let limits = &cx.settings().limits;
        self.upload = (self.framing != BodyFraming::None).then(|| {
            let decoder = BodyDecoder::new(self.framing, limits);
            let relay = Relay::new(decoder, self.framing == BodyFraming::Chunked).limited_to(limits.body);
            let relay = relay.keeping_trailer(keeps_trailer);
            if self.may_keep_content() { relay.keeping(retry::KEPT_CONTENT) } else { relay }
        });
    }
}
