//! Address ranges that an action names: read at load, or made by `${…}` for each exchange.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::action::Fault;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText, Template, Value, interpolation};
use crate::ip_set::{BadNet, IpSet, parse_net};

/// The ranges of one field.
#[derive(Debug)]
pub(super) struct Ranges {
    /// The field, for the log.
    name: &'static str,
    fixed: IpSet,
    computed: Vec<Template>,
}

/// A range that reads itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Net(IpNet);

impl FromText for Net {
    fn from_text(text: &str) -> Result<Self, String> {
        parse_net(text).map(Self).map_err(|bad| bad.to_string())
    }
}

// === impl Ranges ===

impl Ranges {
    /// The items of the field of this name.
    pub(super) fn new(name: &'static str, items: Vec<Field<Net>>) -> Self {
        let (mut fixed, mut computed) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Field::Fixed(Net(net)) => fixed.push(net),
                Field::Computed(template) => computed.push(template),
            }
        }
        Self {
            name,
            fixed: fixed.into_iter().collect(),
            computed,
        }
    }

    /// The narrowest range with this address in it; `Err` if a `${…}` yields something else than ranges.
    pub(super) fn find(
        &self,
        client: IpAddr,
        exchange: &Exchange<'_>,
    ) -> Result<Result<Option<IpNet>, BadNet>, Fault> {
        let fixed = self.fixed.longest_match(client);
        if self.computed.is_empty() {
            return Ok(Ok(fixed));
        }
        let client = client.to_canonical();
        let mut narrowest = fixed;
        for template in &self.computed {
            let value = template
                .value(exchange)
                .map_err(|error| interpolation(self.name, error))?;
            let nets = match &value {
                Value::List(items) => items
                    .iter()
                    .map(|item| parse_net(&item.to_text()))
                    .collect(),
                one => parse_net(&one.to_text()).map(|net| vec![net]),
            };
            let nets: Vec<IpNet> = match nets {
                Ok(nets) => nets,
                Err(bad) => return Ok(Err(bad)),
            };
            let holding = nets.into_iter().filter(|net| net.contains(&client));
            narrowest = narrowest
                .into_iter()
                .chain(holding)
                .max_by_key(IpNet::prefix_len);
        }
        Ok(Ok(narrowest))
    }
}
