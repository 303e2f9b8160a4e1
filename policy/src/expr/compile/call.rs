//! Calls: macros and functions.

use super::super::functions::{self, Function};
use super::super::node::Node;
use super::super::pattern;
use super::super::static_type::Type;
use super::super::syntax::{Called, Expr, Wrong};
use super::super::value::Value;
use super::names::listed;
use super::{Compiler, Typed, wrong};
use crate::document::scope;
use crate::ip_set::{IpSet, parse_net};
use crate::nearest::nearest;

/// What other languages call a function.
const ALIASES: &[(&str, &str)] = &[
    ("includes", "contains"),
    ("starts_with", "startsWith"),
    ("ends_with", "endsWith"),
];

impl Compiler {
    pub(super) fn call(&mut self, expr: &Expr, called: &Called) -> Result<Typed, Wrong> {
        if let Some(typed) = self.macro_call(expr, called) {
            return typed;
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == called.name);
        let name = name.map_or(called.name.as_str(), |(alias, meant)| {
            scope::warn(format!("`{alias}` is read as `{meant}`"));
            meant
        });
        let Some(target) = &called.target else {
            return self.function(expr, name, None, &called.arguments);
        };
        // `base64.encode(x)`: what looks like a receiver is the namespace of a function.
        if let Some(namespace) = target.segments()
            && self.local(namespace.first().unwrap_or(&"")).is_none()
        {
            let qualified = format!("{}.{name}", namespace.join("."));
            let is_function = functions::named(&qualified).next().is_some();
            let is_namespace = functions::all().any(|known| in_namespace(known, &namespace));
            if is_function || is_namespace {
                return self.function(expr, &qualified, None, &called.arguments);
            }
        }
        self.function(expr, name, Some(target), &called.arguments)
    }

    fn function(
        &mut self,
        expr: &Expr,
        name: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Result<Typed, Wrong> {
        let forms =
            || functions::named(name).filter(|form| form.receiver.is_some() == target.is_some());
        if !forms().any(|form| form.arguments.len() == arguments.len()) {
            let message = miscount(name, forms().collect(), arguments.len(), target.is_some());
            return Err(wrong(expr, message));
        }
        let mut nodes = Vec::with_capacity(arguments.len() + 1);
        let mut kinds = Vec::with_capacity(arguments.len() + 1);
        for argument in target.into_iter().chain(arguments) {
            let (node, kind) = self.node(argument)?;
            nodes.push(node);
            kinds.push(kind);
        }
        let Some(form) = forms().find(|form| form.takes(&kinds)) else {
            return Err(wrong(expr, misfit(name, forms().collect(), &kinds)));
        };
        if let Some(phase) = self.phase
            && !form.phases.contains(&phase)
        {
            let message = format!(
                "`{name}` is not there in {phase}, only in {}",
                listed(form.phases)
            );
            return Err(wrong(expr, message));
        }
        let at = arguments.last().unwrap_or(expr);
        let node = self.specialized(at, form, nodes)?;
        Ok((node, form.result))
    }

    /// Patterns and ranges that are known are made ready once.
    fn specialized(
        &self,
        at: &Expr,
        form: &'static Function,
        mut nodes: Vec<Node>,
    ) -> Result<Node, Wrong> {
        let last = nodes.last().and_then(Node::constant).cloned();
        match (form.name, last) {
            ("matches", Some(Value::String(text))) => {
                let pattern = pattern::Pattern::of(&text).map_err(|reason| Wrong {
                    at: at.at,
                    message: format!("the pattern is wrong: {reason} (ERR_ADIT_2261)"),
                })?;
                nodes.truncate(1);
                match nodes.pop() {
                    Some(of) => Ok(Node::Matches(Box::new(of), pattern)),
                    None => Err(wrong(at, "`matches` needs a text")),
                }
            }
            ("inCidrRange" | "inCidrRanges", Some(ranges)) => {
                let mut set = Vec::new();
                let one = [ranges.clone()];
                let items = match &ranges {
                    Value::List(items) => &items[..],
                    _ => &one,
                };
                for item in items {
                    match parse_net(item.as_str().unwrap_or_default()) {
                        Ok(net) => set.push(net),
                        Err(_) => scope::warn(format!(
                            "`{}` is no range of addresses and holds none",
                            item.to_text()
                        )),
                    }
                }
                nodes.truncate(1);
                let set: IpSet = set.into_iter().collect();
                match nodes.pop() {
                    Some(of) => Ok(Node::InRanges(Box::new(of), set)),
                    None => Err(wrong(at, "an address is missing")),
                }
            }
            ("secrets.get", _) => {
                let named = match &nodes[..] {
                    [Node::Constant(vault), Node::Constant(name)] => {
                        vault.as_str().zip(name.as_str())
                    }
                    _ => None,
                };
                scope::reads_secret(named);
                Ok(Node::Call(form, nodes.into()))
            }
            _ => Ok(Node::Call(form, nodes.into())),
        }
    }
}

fn in_namespace(function: &Function, namespace: &[&str]) -> bool {
    let [root] = namespace else {
        return false;
    };
    function
        .name
        .split_once('.')
        .is_some_and(|(known, _)| known == *root)
}

/// No form of a function takes so many arguments, or there is none at all.
fn miscount(name: &str, forms: Vec<&Function>, given: usize, method: bool) -> String {
    if forms.is_empty() {
        return unknown(name, method);
    }
    if (name, given) == ("sort", 3) {
        return "`sort` takes no condition: write `list.sortBy(x, key)`".to_owned();
    }
    let mut counts: Vec<usize> = forms.iter().map(|form| form.arguments.len()).collect();
    counts.sort_unstable();
    counts.dedup();
    let texts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    format!(
        "`{name}` takes {} argument{}, not {given}",
        texts.join(" or "),
        if counts == [1] { "" } else { "s" }
    )
}

/// No form of a function takes these types.
fn misfit(name: &str, forms: Vec<&Function>, kinds: &[Type]) -> String {
    let usages: Vec<String> = forms.iter().map(|form| form.usage()).collect();
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    format!(
        "`{name}` does not take ({}); it is {}",
        kinds.join(", "),
        usages.join(" or ")
    )
}

fn unknown(name: &str, method: bool) -> String {
    if method && name == "get" {
        let ways = "write `req.headers['x']`, or `getReqHeader('x')` if it may be absent";
        return format!("`get` is no function: {ways}");
    }
    if let Some(other) = functions::named(name).next() {
        return format!("`{name}` is written {}", other.usage());
    }
    let known = functions::all().filter(|form| form.receiver.is_some() == method);
    match nearest(name, known.map(|form| form.name)) {
        Some(near) => format!("unknown function `{name}`; did you mean `{near}`?"),
        None => format!("unknown function `{name}`"),
    }
}

// === impl Function ===

impl Function {
    fn takes(&self, kinds: &[Type]) -> bool {
        let wanted = self.receiver.iter().chain(self.arguments);
        let count = self.arguments.len() + usize::from(self.receiver.is_some());
        count == kinds.len() && wanted.zip(kinds).all(|(wanted, got)| got.fits(*wanted))
    }

    /// How it is called: `string.contains(string)`.
    fn usage(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        match self.receiver {
            Some(receiver) => format!("`{receiver}.{}({})`", self.name, arguments.join(", ")),
            None => format!("`{}({})`", self.name, arguments.join(", ")),
        }
    }
}
