//! Names: loop variables, `vars.*`, `actions.*`, the table of variables, and what a slip was meant to be.

use super::super::node::{Node, Operator};
use super::super::static_type::Type;
use super::super::syntax::{Expr, Kind, Wrong};
use super::super::value::{Key, Value};
use super::super::vars::{self, Variable};
use super::{Compiler, Typed, field, wrong};
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

impl Compiler {
    /// An identifier, or a field of something.
    pub(super) fn name(&mut self, expr: &Expr) -> Result<Typed, Wrong> {
        if let Some(names) = expr.segments()
            && let Some(root) = names.first()
            && self.local(root).is_none()
        {
            return self.global(expr, &names);
        }
        match &expr.kind {
            Kind::Name(name) => match self.local(name) {
                Some((slot, kind)) => Ok((Node::Local(slot), kind)),
                None => Err(wrong(expr, unknown(name))),
            },
            Kind::Field(of, name) => {
                let (of, kind) = self.node(of)?;
                self.field(expr, of, kind, name)
            }
            _ => Err(wrong(expr, "this is no name")),
        }
    }

    /// The innermost loop variable of this name.
    pub(super) fn local(&self, name: &str) -> Option<(usize, Type)> {
        let mut locals = self.locals.iter().enumerate().rev();
        let (slot, (_, kind)) = locals.find(|(_, (known, _))| known == name)?;
        Some((slot, *kind))
    }

    fn field(&self, expr: &Expr, of: Node, kind: Type, name: &str) -> Result<Typed, Wrong> {
        let inside = match kind {
            Type::Map(value) => *value,
            Type::Dyn => Type::Dyn,
            other => {
                return Err(wrong(expr, format!("{other} has no field `{name}`")));
            }
        };
        Ok((index(of, Node::Constant(field(name).into_value())), inside))
    }

    /// A name whose root is no loop variable.
    fn global(&self, expr: &Expr, names: &[&str]) -> Result<Typed, Wrong> {
        let names = respelled(names);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match &names[..] {
            ["vars", name, fields @ ..] => {
                let var = Node::Var((*name).into());
                self.fields(expr, var, Type::Dyn, fields)
            }
            ["vars"] => Err(wrong(expr, "`vars` is no value: name one, as in `vars.x`")),
            ["actions", "ngrok", name, fields @ ..] => self.result(expr, name, fields),
            ["actions", ..] => Err(wrong(
                expr,
                "results of actions stand under `actions.ngrok.`",
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
                        return Err(wrong(expr, message));
                    }
                    self.fields(expr, Node::Variable(variable), variable.kind, fields)
                }
                None => match TYPES.iter().find(|(name, _)| *name == names.join(".")) {
                    Some((_, kind)) => Ok((Node::Constant(Value::Type(kind)), Type::Kind)),
                    None => Err(wrong(expr, unknown(&names.join(".")))),
                },
            },
        }
    }

    fn fields(&self, expr: &Expr, of: Node, kind: Type, fields: &[&str]) -> Result<Typed, Wrong> {
        fields.iter().try_fold((of, kind), |(of, kind), name| {
            self.field(expr, of, kind, name)
        })
    }

    fn result(&self, expr: &Expr, name: &str, fields: &[&str]) -> Result<Typed, Wrong> {
        let name = actions::result_name(name).ok_or_else(|| {
            let near = nearest(name, actions::result_names());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            wrong(
                expr,
                format!("no action leaves results under `actions.ngrok.{name}`{hint}"),
            )
        })?;
        scope::reads_result(name);
        let path = fields.iter().map(|name| field(name)).collect();
        Ok((Node::Result(name, path), Type::Dyn))
    }

    fn check_phase(&self, expr: &Expr, variable: &Variable) -> Result<(), Wrong> {
        match self.phase {
            Some(phase) if !variable.phases.contains(&phase) => Err(wrong(
                expr,
                format!(
                    "`{}` is not there in {phase}, only in {}",
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

/// `ERR_NGROK_nnnn` beside the code of a result's error means the same number here.
pub(super) fn respell_codes(operator: Operator, left: &mut Node, right: &mut Node) {
    match operator {
        Operator::Equal | Operator::NotEqual if is_code(left) => respell_code(right),
        Operator::Equal | Operator::NotEqual if is_code(right) => respell_code(left),
        Operator::In if is_code(left) => respell_code(right),
        _ => {}
    }
}

/// Whether a node is `actions.ngrok.<name>.error.code`, or the code of any other error.
fn is_code(node: &Node) -> bool {
    let is = |key: &Key<'_>, name: &str| matches!(key, Key::String(text) if **text == *name);
    match node {
        Node::Result(_, path) => {
            matches!(&path[..], [.., error, code] if is(error, "error") && is(code, "code"))
        }
        Node::Index { key, .. } => {
            matches!(key.constant(), Some(Value::String(text)) if &**text == "code")
        }
        _ => false,
    }
}

fn respell_code(node: &mut Node) {
    let own = |value: &Value<'_>| {
        let number = value.as_str()?.strip_prefix("ERR_NGROK_")?;
        let own = format!("ERR_ADIT_{number}");
        scope::warn(format!("`ERR_NGROK_{number}` is read as `{own}`"));
        Some(Value::text(own))
    };
    let respelled = match node.constant() {
        Some(Value::List(items)) => {
            let items = items
                .iter()
                .map(|item| own(item).unwrap_or_else(|| item.clone()));
            Some(Value::list(items))
        }
        Some(value) => own(value),
        None => None,
    };
    if let Some(value) = respelled {
        *node = Node::Constant(value);
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
    match suggestion(&wanted).filter(|near| *near != variable.name) {
        Some(near) => {
            format!("unknown variable `{wanted}`; did you mean `{near}`?")
        }
        None => format!(
            "`{}` is {} and has no field `{field}`",
            variable.name, variable.kind
        ),
    }
}

fn unknown(name: &str) -> String {
    let below = format!("{name}.");
    if vars::all().any(|variable| variable.name.starts_with(&below)) {
        return format!("`{name}` is no value: name one of its fields");
    }
    match suggestion(name) {
        Some(near) => format!("unknown variable `{name}`; did you mean `{near}`?"),
        None => format!("unknown variable `{name}`"),
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
