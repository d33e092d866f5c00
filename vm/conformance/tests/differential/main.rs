//! Generated programs whose answer is known: each kind of expression, with each kind of scope or
//! branch as its operands, and assignments among them to the variables of other operands.
//!
//! The same programs are generated each time. RUNE_CONFORMANCE_SEED and RUNE_CONFORMANCE_COUNT
//! choose other random ones, and more of them.

mod expr;
mod nodes;

use expr::{Assign, Env, Expr, Form, Order, FORMS, SYNC_FORMS};
use nodes::{Kind, Node, NODES, PRELUDE};
use rune::Context;
use rune_conformance::{context, isolated, same, Program};

const START: Env = [3, 8];

/// Functions compiled at once.
const BATCH: usize = 250;

/// Functions tried, and those whose answer was wrong.
#[derive(Default)]
struct Tally {
    tried: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Runs programs which each return `(value, x, y)`.
    fn run(&mut self, context: &Context, programs: &[Expr]) {
        for batch in programs.chunks(BATCH) {
            let known = batch.iter().filter_map(|expr| {
                let mut env = START;
                let value = expr.eval(&mut env)?;
                Some((expr, format!("({value}, {}, {})", env[0], env[1])))
            });
            let known = known.collect::<Vec<_>>();
            let functions = known
                .iter()
                .enumerate()
                .map(|(i, (expr, _))| function(i, expr));
            let source = format!("{PRELUDE}{}", functions.collect::<String>());
            match Program::with_context(&source, context) {
                Ok(program) => {
                    for (i, (expr, expected)) in known.iter().enumerate() {
                        let got = program.call(&format!("c{i}"), &START);
                        self.judge(
                            expr,
                            expected,
                            got.unwrap_or_else(|error| error.to_string()),
                        );
                    }
                }
                // One of them is refused: say which.
                Err(_) => {
                    for (expr, expected) in &known {
                        let source = format!("{PRELUDE}{}", function(0, expr));
                        let got = match Program::with_context(&source, context) {
                            Ok(program) => program
                                .call("c0", &START)
                                .unwrap_or_else(|error| error.to_string()),
                            Err(diagnostics) => diagnostics,
                        };
                        self.judge(expr, expected, got);
                    }
                }
            }
        }
    }

    fn judge(&mut self, expr: &Expr, expected: &str, got: String) {
        self.tried += 1;
        if !same(&got, expected) {
            self.wrong.push(format!(
                "{}\n  expected {expected}, got {got}",
                function(0, expr)
            ));
        }
    }

    fn conclude(self, least: usize) {
        let first = self
            .wrong
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        let (wrong, tried) = (self.wrong.len(), self.tried);
        assert!(
            wrong == 0,
            "{wrong} of {tried} programs went wrong; the first, with x = 3 and y = 8:\n{first}"
        );
        assert!(
            tried >= least,
            "expected at least {least} programs, tried {tried}"
        );
        eprintln!("{tried} programs");
    }
}

fn function(index: usize, expr: &Expr) -> String {
    format!(
        "pub async fn c{index}(x, y) {{ let r = {}; (r, x, y) }}\n",
        expr.text()
    )
}

fn set(var: usize, value: i64) -> Assign {
    Assign {
        var,
        add: false,
        value: Expr::Lit(value),
    }
}

fn add(var: usize, value: i64) -> Assign {
    Assign {
        var,
        add: true,
        value: Expr::Lit(value),
    }
}

/// A form of `value` in each variation of assignments.
fn variations(form: &'static Form, value: &Expr) -> Vec<Expr> {
    let assigns = [
        vec![],
        vec![set(0, 5)],
        vec![add(0, 2)],
        vec![set(1, 1), add(0, 1)],
    ];
    let make = |assigns| Expr::Form(form, assigns, Box::new(value.clone()));
    assigns.into_iter().map(make).collect()
}

fn fits(node: &Node, form: &Form) -> bool {
    node.kind != Kind::Inner || !form.is_async
}

#[test]
fn every_operand_of_every_expression() {
    isolated("every_operand_of_every_expression", || {
        let context = context().expect("a context");
        let mut tally = Tally::default();
        for node in NODES {
            let mut programs = Vec::new();
            for (index, form) in FORMS
                .iter()
                .enumerate()
                .filter(|(_, form)| fits(node, form))
            {
                for position in 0..node.operands {
                    for value in [Expr::Var(0), Expr::Lit(6)] {
                        for operand in variations(form, &value) {
                            // The others are variables, or a scope of another kind.
                            let scope = &FORMS[(index + position) % SYNC_FORMS];
                            let other = match programs.len() % 3 {
                                0 => Expr::Var(0),
                                1 => Expr::Group(Box::new(Expr::Var(1))),
                                _ => Expr::Form(scope, vec![add(1, 1)], Box::new(Expr::Var(0))),
                            };
                            let mut operands = vec![other; node.operands];
                            operands[position] = operand;
                            programs.push(Expr::Node(node, operands));
                        }
                    }
                }
            }
            tally.run(&context, &programs);
        }
        tally.conclude(20_000);
    });
}

/// Xorshift: the same programs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn expr(&mut self, depth: usize, is_async: bool) -> Expr {
        match self.below(if depth == 0 { 4 } else { 12 }) {
            0 => Expr::Lit(self.below(12) as i64 - 2),
            1..=3 => Expr::Var(self.below(2)),
            4..=7 => loop {
                let form = &FORMS[self.below(FORMS.len())];
                if form.is_async && !is_async {
                    continue;
                }
                // A closure is a function of its own, which is not async.
                let inside = is_async && (form.order != Order::Apart || form.is_async);
                let assigns = (0..self.below(3))
                    .map(|_| self.assign(depth - 1, inside))
                    .collect();
                break Expr::Form(form, assigns, Box::new(self.expr(depth - 1, inside)));
            },
            _ => loop {
                let node = &NODES[self.below(NODES.len())];
                if node.kind == Kind::Async && !is_async {
                    continue;
                }
                let inside = is_async && node.kind != Kind::Inner;
                break Expr::Node(
                    node,
                    (0..node.operands)
                        .map(|_| self.expr(depth - 1, inside))
                        .collect(),
                );
            },
        }
    }

    fn assign(&mut self, depth: usize, is_async: bool) -> Assign {
        Assign {
            var: self.below(2),
            add: self.below(2) == 0,
            value: self.expr(depth.min(1), is_async),
        }
    }
}

#[test]
fn random_programs() {
    isolated("random_programs", || {
        let number = |name, otherwise| match std::env::var(name) {
            Ok(text) => text.parse::<u64>().expect("a number"),
            Err(_) => otherwise,
        };
        let mut random =
            Random(number("RUNE_CONFORMANCE_SEED", 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let count = number("RUNE_CONFORMANCE_COUNT", 3_000) as usize;
        let context = context().expect("a context");
        let mut tally = Tally::default();
        let programs = (0..count).map(|_| random.expr(4, true)).collect::<Vec<_>>();
        tally.run(&context, &programs);
        tally.conclude(count / 2);
    });
}
