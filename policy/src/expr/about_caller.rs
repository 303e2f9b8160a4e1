//! Whether what an expression says is about the caller, as an action that authenticates has found out.

use super::expression::Expression;
use super::node::Node;
use super::template::{Part, Template};

/// What actions that authenticate leave under `actions.ngrok.`.
const RESULTS: &[&str] = &[
    "basic_auth",
    "jwt_validation",
    "oauth",
    "oidc",
    "openid_connect",
];

impl Template {
    /// Whether any of its expressions looks at who the caller is.
    pub(crate) fn is_about_caller(&self) -> bool {
        self.parts().iter().any(|part| match part {
            Part::Text(_) => false,
            Part::Expression(expression) => expression.is_about_caller(),
        })
    }
}

impl Expression {
    fn is_about_caller(&self) -> bool {
        looks_at_caller(self.node())
    }
}

fn looks_at_caller(node: &Node) -> bool {
    match node {
        Node::Variable(variable) => variable.name.starts_with("identity."),
        Node::Result(name, _) => RESULTS.contains(name),
        other => other.parts().into_iter().any(looks_at_caller),
    }
}
