//! Expressions whose value is known by construction.
//!
//! Every expression is a whole number over the variables `x` and `y`. It is written down as Rune, and
//! computed here with the order of evaluation that Rust has.

use crate::nodes::Node;

/// The values of `x` and `y`.
pub type Env = [i64; 2];

/// Beyond this a program is given up, so that nothing overflows.
const LARGEST: i64 = 1 << 40;

#[derive(Clone)]
pub enum Expr {
    Lit(i64),
    Var(usize),
    Group(Box<Expr>),
    /// A way to write a value which assigns before or after the value is evaluated.
    Form(&'static Form, Vec<Assign>, Box<Expr>),
    /// An expression with operands.
    Node(&'static Node, Vec<Expr>),
}

#[derive(Clone)]
pub struct Assign {
    pub var: usize,
    pub add: bool,
    pub value: Expr,
}

/// When the assignments `{P}` of a form happen, as seen from its value `{V}`.
#[derive(Clone, Copy, PartialEq)]
pub enum Order {
    Before,
    After,
    /// Before, in a copy of the variables.
    Apart,
}

pub struct Form {
    pub text: &'static str,
    pub order: Order,
    /// Whether it can only be used in an async function.
    pub is_async: bool,
}

const fn form(text: &'static str, order: Order) -> Form {
    Form {
        text,
        order,
        is_async: false,
    }
}

const fn async_form(text: &'static str, order: Order) -> Form {
    Form {
        text,
        order,
        is_async: true,
    }
}

use Order::{After, Apart, Before};

/// Each kind of expression that has a scope or branches. What is not to be taken mentions `y` or `x`,
/// which would show if it were mistaken for the place of the result.
pub static FORMS: &[Form] = &[
    form("{ {P} {V} }", Before),
    form("{ {P} let n = {V}; n }", Before),
    form(
        "match 2 { 1 => y, 2 => { {P} let n = {V}; n } _ => 0 }",
        Before,
    ),
    form("match 2 { 1 => y, 3 => x, _ => { {P} {V} } }", Before),
    form(
        "match {V} { n if n > 2000000000000 => y, n => { {P} n } }",
        After,
    ),
    form(
        "match Some({V}) { Some(n) if true => { {P} n } _ => y }",
        After,
    ),
    form("if false { y } else { {P} {V} }", Before),
    form("if true { {P} let n = {V}; n } else { y }", Before),
    form("if false { x } else if true { {P} {V} } else { y }", Before),
    form("if let Some(n) = Some({V}) { {P} n } else { y }", After),
    form("loop { if false { break y; } {P} break {V}; }", Before),
    form("loop { {P} let n = {V}; break { let m = n; m }; }", Before),
    form("'a: { if false { break 'a y; } {P} break 'a {V}; }", Before),
    form("'a: { if false { break 'a y; } {P} {V} }", Before),
    form(
        "{ let k = 0; while k < 2 { if k == 1 { {P} } k += 1; } {V} }",
        Before,
    ),
    form("{ for i in 0..2 { if i == 1 { {P} } } {V} }", Before),
    form(
        "{ let k = Some({V}); let r = 0; while let Some(q) = k { k = None; {P} r = q; } r }",
        After,
    ),
    form("(|| { {P} {V} })()", Apart),
    async_form("select { n = later(1, {V}) => { {P} n } }", After),
    async_form(
        "select { _ = later(40, 0) => y, n = later(1, {V}) => { {P} let m = n; m } }",
        After,
    ),
    async_form("async { {P} {V} }.await", Apart),
    async_form("{ {P} later(2, {V}).await }", Before),
];

/// How many of FORMS, from the first, can be used in any function.
pub const SYNC_FORMS: usize = 18;

impl Expr {
    /// The value, with the variables as they are afterwards; None if it has none or is too large.
    pub fn eval(&self, env: &mut Env) -> Option<i64> {
        let value = match self {
            Expr::Lit(value) => *value,
            Expr::Var(var) => env[*var],
            Expr::Group(expr) => expr.eval(env)?,
            Expr::Form(form, assigns, value) => match form.order {
                Before => {
                    assigns.iter().try_for_each(|a| a.eval(env))?;
                    value.eval(env)?
                }
                After => {
                    let value = value.eval(env)?;
                    assigns.iter().try_for_each(|a| a.eval(env))?;
                    value
                }
                Apart => {
                    let mut copy = *env;
                    assigns.iter().try_for_each(|a| a.eval(&mut copy))?;
                    value.eval(&mut copy)?
                }
            },
            Expr::Node(node, operands) => (node.eval)(&mut Operands { env, operands })?,
        };
        (value.abs() < LARGEST).then_some(value)
    }

    /// The expression as Rune.
    pub fn text(&self) -> String {
        match self {
            Expr::Lit(value) => value.to_string(),
            Expr::Var(var) => ["x", "y"][*var].to_string(),
            Expr::Group(expr) => format!("({})", expr.text()),
            Expr::Form(form, assigns, value) => {
                let assigns = assigns
                    .iter()
                    .map(Assign::text)
                    .collect::<Vec<_>>()
                    .join(" ");
                let mut value = value.text();
                if value.starts_with('\'') {
                    // `break 'a: {}` is refused, as it is in Rust.
                    value = format!("({value})");
                }
                form.text.replace("{P}", &assigns).replace("{V}", &value)
            }
            Expr::Node(node, operands) => {
                let mut text = String::from("(");
                let mut rest = node.text;
                while let Some(at) = next_hole(rest) {
                    text.push_str(&rest[..at]);
                    let index = usize::from(rest.as_bytes()[at + 1] - b'0');
                    text.push_str(&operands[index].text());
                    rest = &rest[at + 2..];
                }
                text.push_str(rest);
                text.push(')');
                text
            }
        }
    }
}

/// Where the next `$0`, `$1`, ... is.
fn next_hole(text: &str) -> Option<usize> {
    let digit = |at: &usize| text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
    text.match_indices('$').map(|(at, _)| at).find(digit)
}

impl Assign {
    fn eval(&self, env: &mut Env) -> Option<()> {
        let value = self.value.eval(env)?;
        // The value of `x += ...` is evaluated ahead of `x`.
        env[self.var] = if self.add {
            env[self.var] + value
        } else {
            value
        };
        (env[self.var].abs() < LARGEST).then_some(())
    }

    pub fn text(&self) -> String {
        let op = if self.add { "+=" } else { "=" };
        format!("{} {op} {};", ["x", "y"][self.var], self.value.text())
    }
}

/// The operands of a node, evaluated when asked for.
pub struct Operands<'a> {
    env: &'a mut Env,
    operands: &'a [Expr],
}

impl Operands<'_> {
    pub fn get(&mut self, index: usize) -> Option<i64> {
        self.operands[index].eval(self.env)
    }

    pub fn env(&mut self) -> &mut Env {
        self.env
    }

    /// The same operands over a copy of the variables.
    pub fn apart<T>(&self, f: impl FnOnce(&mut Operands<'_>) -> T) -> T {
        let mut copy = *self.env;
        f(&mut Operands {
            env: &mut copy,
            operands: self.operands,
        })
    }
}
