//! Names: loop variables, `vars.*`, `actions.*`, the table of variables, and what a slip was meant to be.

use cel::common::ast::{Expr, IdedExpr};

use super::super::node::Node;
use super::super::syntax::Wrong;
use super::super::types::Type;
use super::super::value::Value;
use super::super::vars::{self, Variable};
use super::{Compiler, Typed, field};
use crate::action::Phase;
use crate::actions;
use crate::document::scope;
use crate::nearest::nearest;

/// Names of types, which are values as well.
const TYPES: &[(&str, &str)] = &[
    ("bool", "bool"),
    ("bytes", "bytes"),
    ("double", "double"),
    ("duration", "google.protobuf.Duration"),
    ("google.protobuf.Duration", "google.protobuf.Duration"),
    ("google.protobuf.Timestamp", "google.protobuf.Timestamp"),
    ("int", "int"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null_type"),
    ("string", "string"),
    ("timestamp", "google.protobuf.Timestamp"),
    ("type", "type"),
    ("uint", "uint"),
];

/// A dotted name, root first; `None` if the expression is more than that.
pub(super) fn segments(expr: &IdedExpr) -> Option<Vec<&str>> {
    match &expr.expr {
        Expr::Ident(name) => Some(vec![name.trim_start_matches('.')]),
        Expr::Select(select) if !select.test => {
            let mut names = segments(&select.operand)?;
            names.push(&select.field);
            Some(names)
        }
        _ => None,
    }
}

impl Compiler<'_> {
    /// An identifier, or a field of something.
    pub(super) fn name(&mut self, expr: &IdedExpr) -> Result<Typed, Wrong> {
        if let Some(names) = segments(expr)
            && let Some(root) = names.first()
            && self.local(root).is_none()
        {
            return self.global(expr, &names);
        }
        match &expr.expr {
            Expr::Ident(name) => match self.local(name) {
                Some((slot, kind)) => Ok((Node::Local(slot), kind)),
                None => Err(self.wrong(expr, &unknown(name))),
            },
            Expr::Select(select) => {
                let (of, kind) = self.node(&select.operand)?;
                self.field(expr, of, kind, &select.field)
            }
            _ => Err(self.wrong(expr, "this is no name (ERR_ADIT_2200)")),
        }
    }

    /// The innermost loop variable of this name.
    pub(super) fn local(&self, name: &str) -> Option<(usize, Type)> {
        let mut locals = self.locals.iter().enumerate().rev();
        let (slot, (_, kind)) = locals.find(|(_, (known, _))| known == name)?;
        Some((slot, *kind))
    }

    fn field(&self, expr: &IdedExpr, of: Node, kind: Type, name: &str) -> Result<Typed, Wrong> {
        let inside = match kind {
            Type::Map(value) => *value,
            Type::Dyn => Type::Dyn,
            other => {
                return Err(self.wrong(
                    expr,
                    &format!("{other} has no field `{name}` (ERR_ADIT_2200)"),
                ));
            }
        };
        Ok((index(of, Node::Constant(field(name).into_value())), inside))
    }

    /// A name whose root is no loop variable.
    fn global(&self, expr: &IdedExpr, names: &[&str]) -> Result<Typed, Wrong> {
        let names = respelled(names);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match &names[..] {
            ["vars", name, fields @ ..] => {
                let var = Node::Var((*name).into());
                self.fields(expr, var, Type::Dyn, fields)
            }
            ["vars"] => Err(self.wrong(
                expr,
                "`vars` is no value: name one, as in `vars.x` (ERR_ADIT_2200)",
            )),
            ["actions", "ngrok", name, fields @ ..] => self.result(expr, name, fields),
            ["actions", ..] => Err(self.wrong(
                expr,
                "results of actions stand under `actions.ngrok.` (ERR_ADIT_2200)",
            )),
            _ => match vars::longest(&names) {
                Some((variable, taken)) => {
                    self.check_phase(expr, variable)?;
                    if vars::has_no_source(variable) {
                        scope::warn(format!(
                            "`{}` is always empty: nothing in this version fills it in",
                            variable.name
                        ));
                    }
                    let fields = names.get(taken..).unwrap_or_default();
                    if let (false, [first, ..]) =
                        (matches!(variable.kind, Type::Map(_) | Type::Dyn), fields)
                    {
                        let message = no_such_field(variable, first);
                        return Err(self.wrong(expr, &message));
                    }
                    self.fields(expr, Node::Variable(variable), variable.kind, fields)
                }
                None => match TYPES.iter().find(|(name, _)| *name == names.join(".")) {
                    Some((_, kind)) => Ok((Node::Constant(Value::Type(kind)), Type::Type)),
                    None => Err(self.wrong(expr, &unknown(&names.join(".")))),
                },
            },
        }
    }

    fn fields(
        &self,
        expr: &IdedExpr,
        of: Node,
        kind: Type,
        fields: &[&str],
    ) -> Result<Typed, Wrong> {
        fields.iter().try_fold((of, kind), |(of, kind), name| {
            self.field(expr, of, kind, name)
        })
    }

    fn result(&self, expr: &IdedExpr, name: &str, fields: &[&str]) -> Result<Typed, Wrong> {
        let name = actions::result_name(name).ok_or_else(|| {
            let near = nearest(name, actions::result_names());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            self.wrong(
                expr,
                &format!(
                    "no action leaves results under `actions.ngrok.{name}`{hint} (ERR_ADIT_2200)"
                ),
            )
        })?;
        scope::reads_result(name);
        let path = fields.iter().map(|name| field(name)).collect();
        Ok((Node::Result(name, path), Type::Dyn))
    }

    fn check_phase(&self, expr: &IdedExpr, variable: &Variable) -> Result<(), Wrong> {
        match self.phase {
            Some(phase) if !variable.phases.contains(&phase) => Err(self.wrong(
                expr,
                &format!(
                    "`{}` is not there in {phase}, only in {} (ERR_ADIT_2200)",
                    variable.name,
                    listed(variable.phases)
                ),
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn listed(phases: &[Phase]) -> String {
    let names: Vec<_> = phases.iter().map(|phase| phase.name()).collect();
    names.join(", ")
}

/// `a[key]`; below the results of actions, what is not there is null and no error.
pub(super) fn index(of: Node, key: Node) -> Node {
    let lenient = match &of {
        Node::Result(..) => true,
        Node::Index { lenient, .. } => *lenient,
        _ => false,
    };
    Node::Index {
        of: Box::new(of),
        key: Box::new(key),
        lenient,
    }
}

/// `ERR_NGROK_nnnn` in a comparison means the same number here.
pub(super) fn respell_codes(node: &mut Node) {
    if let Node::Constant(Value::String(text)) = node
        && let Some(number) = text.strip_prefix("ERR_NGROK_")
    {
        let own = format!("ERR_ADIT_{number}");
        scope::warn(format!("`{}` is read as `{own}`", &**text));
        *node = Node::Constant(Value::text(own));
    }
}

/// Older and longer spellings of roots.
fn respelled(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let root = match names.first().map(String::as_str) {
        Some("request") => Some("req"),
        Some("response") => Some("res"),
        _ => None,
    };
    if let (Some(root), Some(first)) = (root, names.first_mut()) {
        scope::warn(format!("`{first}.` is read as `{root}.`"));
        *first = root.to_owned();
    }
    if let [root, adit, ..] = &mut names[..]
        && root == "actions"
        && adit == "adit"
    {
        *adit = "ngrok".to_owned();
    }
    names
}

fn no_such_field(variable: &Variable, field: &str) -> String {
    let wanted = format!("{}.{field}", variable.name);
    match suggestion(&wanted) {
        Some(near) => {
            format!("unknown variable `{wanted}`; did you mean `{near}`? (ERR_ADIT_2200)")
        }
        None => format!(
            "`{}` is {} and has no field `{field}` (ERR_ADIT_2200)",
            variable.name, variable.kind
        ),
    }
}

fn unknown(name: &str) -> String {
    let below = format!("{name}.");
    if vars::all().any(|variable| variable.name.starts_with(&below)) {
        return format!("`{name}` is no value: name one of its fields (ERR_ADIT_2200)");
    }
    match suggestion(name) {
        Some(near) => format!("unknown variable `{name}`; did you mean `{near}`? (ERR_ADIT_2200)"),
        None => format!("unknown variable `{name}` (ERR_ADIT_2200)"),
    }
}

fn suggestion(name: &str) -> Option<&'static str> {
    let hint = vars::HINTS.iter().find(|(known, _)| {
        name.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    hint.map(|(_, meant)| *meant)
        .or_else(|| nearest(name, vars::all().map(|variable| variable.name)))
}
