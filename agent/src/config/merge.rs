//! Several files as one: later wins, maps merge by key, lists are replaced, endpoints by name.

use std::collections::HashMap;

use super::file::{AgentText, EndpointText, File, UpstreamText};

pub(super) fn merge(earlier: &mut File, later: File) {
    earlier.warnings.extend(later.warnings);
    if let Some(agent) = later.agent {
        earlier.agent.get_or_insert_default().take_fields(agent);
    }
    let known = earlier.endpoints.iter().enumerate();
    let known: HashMap<_, _> = known.map(|(at, one)| (one.name.clone(), at)).collect();
    for endpoint in later.endpoints {
        let place = known.get(&endpoint.name);
        match place.and_then(|&at| earlier.endpoints.get_mut(at)) {
            Some(known) => known.merge(endpoint),
            // No file has two of one name.
            None => earlier.endpoints.push(endpoint),
        }
    }
}

/// Takes each field that the later one has. The fields are all named, so that a new one cannot be
/// forgotten.
macro_rules! take_fields {
    ($name:ident { $($field:ident),* $(,)? } besides { $($other:ident),* }) => {
        impl $name {
            fn take_fields(&mut self, later: Self) {
                let Self { $($field,)* $($other: _,)* } = later;
                $(if $field.is_some() {
                    self.$field = $field;
                })*
            }
        }
    };
}

take_fields!(AgentText {
    authtoken, connect_url, connect_cas, connect_timeout, metadata, console_ui, log, log_level,
    log_format, api_key, connect_interface, console_ui_color, crl_noverify, crl_url,
    dns_resolver_ips, heartbeat_interval, heartbeat_tolerance, inspect_db_size, local_storage,
    proxy_url, remote_management, update_channel, update_check, web_addr, web_allow_hosts,
} besides {});

take_fields!(UpstreamText {
    url, protocol, proxy_protocol, tls_verify, tls_verify_cas, health_check,
} besides {});

take_fields!(EndpointText {
    url, bindings, description, metadata, pooling_enabled, weight, tier, inspect, traffic_policy,
    traffic_policy_file, agent_tls_termination,
} besides { name, upstream });

impl EndpointText {
    fn merge(&mut self, mut later: Self) {
        // The two ways to give a policy are one key in meaning.
        if later.traffic_policy.is_some() || later.traffic_policy_file.is_some() {
            (self.traffic_policy, self.traffic_policy_file) = (None, None);
        }
        if let Some(upstream) = later.upstream.take() {
            self.upstream.get_or_insert_default().take_fields(upstream);
        }
        self.take_fields(later);
    }
}
