//! Each kind of expression that has operands.

use crate::expr::Operands;

/// `text` with its operands `$0`, `$1`, ..., and what it evaluates to.
pub struct Node {
    pub text: &'static str,
    pub operands: usize,
    pub eval: fn(&mut Operands<'_>) -> Option<i64>,
    /// Where it may be used and what it may contain.
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Anywhere, anything.
    Plain,
    /// Only in async functions.
    Async,
    /// Anywhere, but its operands are in a function which is not async.
    Inner,
}

/// Functions which turn what an expression yields into a number.
pub const PRELUDE: &str = r#"
struct P { a, b }
impl P { fn mix(self, c, d) { list([self.a, self.b, c, d]) } }
fn two(t) { (t.0 * 7 + t.1) % 1009 }
fn obj(o) { two((o.a, o.b)) }
fn span(r) { two((r.start, r.end)) }
fn bit(b) { if b { 1 } else { 0 } }
fn list(v) { let h = 0; for e in v { h = (h * 31 + e) % 1009; } h }
fn text(s) { let h = 0; for c in s.chars() { h = (h * 31 + c.to_i64()) % 1009; } h }
fn f1(a) { a }
fn f2(a, b) { two((a, b)) }
fn f3(a, b, c) { list([a, b, c]) }
fn give(o, n) { o.b = n; o }
fn gen(g) { let a = g.next().unwrap(); let b = g.next().unwrap(); two((a, b)) }
async fn f2a(a, b) { two((a, b)) }
"#;

fn two(a: i64, b: i64) -> Option<i64> {
    Some((a.checked_mul(7)? + b) % 1009)
}

fn list(values: &[i64]) -> Option<i64> {
    Some(values.iter().fold(0, |h, e| (h * 31 + e) % 1009))
}

fn text(s: &str) -> Option<i64> {
    Some(
        s.chars()
            .fold(0, |h, c| (h * 31 + i64::from(u32::from(c))) % 1009),
    )
}

fn bit(b: bool) -> Option<i64> {
    Some(i64::from(b))
}

fn all<const N: usize>(o: &mut Operands<'_>) -> Option<[i64; N]> {
    let mut values = [0; N];
    for (index, value) in values.iter_mut().enumerate() {
        *value = o.get(index)?;
    }
    Some(values)
}

macro_rules! nodes {
    ($($kind:ident $n:literal $text:literal => |$o:ident| $eval:expr;)*) => {
        &[$(Node { text: $text, operands: $n, eval: |$o| $eval, kind: Kind::$kind },)*]
    };
}

macro_rules! binary {
    ($o:ident, |$a:ident, $b:ident| $eval:expr) => {{
        let [$a, $b] = all::<2>($o)?;
        $eval
    }};
}

pub static NODES: &[Node] = nodes! {
    // Binary operators.
    Plain 2 "$0 + $1" => |o| binary!(o, |a, b| a.checked_add(b));
    Plain 2 "$0 - $1" => |o| binary!(o, |a, b| a.checked_sub(b));
    Plain 2 "$0 * $1" => |o| binary!(o, |a, b| a.checked_mul(b));
    Plain 2 "$0 / $1" => |o| binary!(o, |a, b| a.checked_div(b));
    Plain 2 "$0 % $1" => |o| binary!(o, |a, b| a.checked_rem(b));
    Plain 2 "$0 & $1" => |o| binary!(o, |a, b| Some(a & b));
    Plain 2 "$0 | $1" => |o| binary!(o, |a, b| Some(a | b));
    Plain 2 "$0 ^ $1" => |o| binary!(o, |a, b| Some(a ^ b));
    Plain 2 "$0 << ($1 & 3)" => |o| binary!(o, |a, b| a.checked_mul(1 << (b & 3)));
    Plain 2 "$0 >> ($1 & 3)" => |o| binary!(o, |a, b| Some(a >> (b & 3)));
    Plain 2 "bit($0 == $1)" => |o| binary!(o, |a, b| bit(a == b));
    Plain 2 "bit($0 != $1)" => |o| binary!(o, |a, b| bit(a != b));
    Plain 2 "bit($0 < $1)" => |o| binary!(o, |a, b| bit(a < b));
    Plain 2 "bit($0 <= $1)" => |o| binary!(o, |a, b| bit(a <= b));
    Plain 2 "bit($0 > $1)" => |o| binary!(o, |a, b| bit(a > b));
    Plain 2 "bit($0 >= $1)" => |o| binary!(o, |a, b| bit(a >= b));
    Plain 3 "$0 - $1 - $2" => |o| { let [a, b, c] = all(o)?; Some(a - b - c) };
    Plain 3 "$0 - ($1 - $2)" => |o| { let [a, b, c] = all(o)?; Some(a - (b - c)) };
    // Logical operators evaluate their right side only when they must.
    Plain 2 "bit($0 > 2 && $1 > 2)" => |o| bit(o.get(0)? > 2 && o.get(1)? > 2);
    Plain 2 "bit($0 > 2 || $1 > 2)" => |o| bit(o.get(0)? > 2 || o.get(1)? > 2);
    Plain 3 "bit(($0 > 2 && $1 > 2) == ($2 > 2))" => |o| {
        let a = o.get(0)? > 2 && o.get(1)? > 2;
        bit(a == (o.get(2)? > 2))
    };
    Plain 2 "{ let b = $0 > 2; let r = (b && { b = false; ($1 > 2) }) == true; two((bit(r), bit(b))) }" => |o| {
        let b = o.get(0)? > 2;
        let r = b && o.get(1)? > 2;
        two(i64::from(r), 0)
    };
    Plain 2 "{ let b = $0 > 2; b = b || $1 > 2; b = true && !b; bit(b) }" => |o| bit(!(o.get(0)? > 2 || o.get(1)? > 2));
    // Types.
    Plain 1 "bit($0 is i64)" => |o| { o.get(0)?; Some(1) };
    Plain 1 "bit($0 is not i64)" => |o| { o.get(0)?; Some(0) };
    Plain 1 "($0 as f64) as i64" => |o| o.get(0);
    // Unary operators.
    Plain 1 "-$0" => |o| Some(-o.get(0)?);
    Plain 1 "bit(!($0 > 3))" => |o| bit(o.get(0)? <= 3);
    // Ranges.
    Plain 2 "span($0..$1)" => |o| binary!(o, |a, b| two(a, b));
    Plain 2 "span($0..=$1)" => |o| binary!(o, |a, b| two(a, b));
    Plain 1 "($0..).start" => |o| o.get(0);
    Plain 1 "(..$0).end" => |o| o.get(0);
    Plain 1 "(..=$0).end" => |o| o.get(0);
    // Calls.
    Plain 1 "f1($0)" => |o| o.get(0);
    Plain 2 "f2($0, $1)" => |o| binary!(o, |a, b| two(a, b));
    Plain 3 "f3($0, $1, $2)" => |o| list(&all::<3>(o)?);
    Plain 2 "(|a, b| a - b)($0, $1)" => |o| binary!(o, |a, b| Some(a - b));
    Plain 2 "{ let f = |a, b| a - b; f($0, $1) }" => |o| binary!(o, |a, b| Some(a - b));
    Plain 4 "P { a: $0, b: $1 }.mix($2, $3)" => |o| list(&all::<4>(o)?);
    Plain 2 "{ let v = [$0]; v.push($1); list(v) }" => |o| list(&all::<2>(o)?);
    Plain 2 "(|(a, _), [b, ..]| two((a, b)))(($0, 1), [$1, 2])" => |o| binary!(o, |a, b| two(a, b));
    // Literals.
    Plain 2 "two(($0, $1))" => |o| binary!(o, |a, b| two(a, b));
    Plain 3 "{ let t = ($0, $1, $2); list([t.0, t.1, t.2]) }" => |o| list(&all::<3>(o)?);
    Plain 4 "{ let t = ($0, $1, $2, $3); list([t.0, t.1, t.2, t.3]) }" => |o| list(&all::<4>(o)?);
    Plain 5 "{ let t = ($0, $1, $2, $3, $4); list([t.0, t.1, t.2, t.3, t.4]) }" => |o| list(&all::<5>(o)?);
    Plain 1 "list([$0])" => |o| list(&all::<1>(o)?);
    Plain 3 "list([$0, $1, $2])" => |o| list(&all::<3>(o)?);
    Plain 2 "obj(#{ a: $0, b: $1 })" => |o| binary!(o, |a, b| two(a, b));
    Plain 2 "obj(#{ b: $0, a: $1 })" => |o| binary!(o, |b, a| two(a, b));
    Plain 2 "obj(P { a: $0, b: $1 })" => |o| binary!(o, |a, b| two(a, b));
    Plain 2 "obj(P { b: $0, a: $1 })" => |o| binary!(o, |b, a| two(a, b));
    Plain 2 "text(`${$0}:${$1}`)" => |o| binary!(o, |a, b| text(&format!("{a}:{b}")));
    Plain 2 "text(format!(\"{}:{:?}\", $0, $1))" => |o| binary!(o, |a, b| text(&format!("{a}:{b}")));
    // Places.
    Plain 1 "[10, 20, 30, 40][$0 & 3]" => |o| Some(10 + 10 * (o.get(0)? & 3));
    Plain 3 "[$0, $1][$2 & 1]" => |o| { let [a, b, c] = all(o)?; Some(if c & 1 == 0 { a } else { b }) };
    Plain 3 "{ let v = [$0, $1]; v[$2 & 1] }" => |o| { let [a, b, c] = all(o)?; Some(if c & 1 == 0 { a } else { b }) };
    Plain 2 "#{ a: $0 }.a - ($1, 2).0" => |o| binary!(o, |a, b| Some(a - b));
    // Assignments evaluate the value ahead of the place.
    Plain 1 "{ x = $0 - x; x }" => |o| { let a = o.get(0)?; let x = a - o.env()[0]; o.env()[0] = x; Some(x) };
    Plain 1 "{ y -= $0; y }" => |o| { let a = o.get(0)?; o.env()[1] -= a; Some(o.env()[1]) };
    Plain 1 "{ let o = #{ a: 1 }; o.a = $0; o.a }" => |o| o.get(0);
    Plain 1 "{ let t = (1, 2); t.1 = $0; two(t) }" => |o| two(1, o.get(0)?);
    Plain 2 "{ let v = [0, 0]; v[$0 & 1] = $1; list(v) }" => |o| {
        let value = o.get(1)?;
        let mut v = [0, 0];
        v[(o.get(0)? & 1) as usize] = value;
        list(&v)
    };
    Plain 2 "{ let p = P { a: 3, b: 4 }; give(p, $0).a = $1; obj(p) }" => |o| { let a = o.get(1)?; two(a, o.get(0)?) };
    Plain 2 "{ let p = P { a: 3, b: 4 }; give(p, $0).a -= $1; obj(p) }" => |o| { let a = o.get(1)?; two(3 - a, o.get(0)?) };
    Plain 1 "{ let o = #{ a: 3 }; o.a += $0; o.a }" => |o| Some(3 + o.get(0)?);
    Plain 1 "{ let t = (3, 4); t.0 *= $0; two(t) }" => |o| two(3 * o.get(0)?, 4);
    Plain 2 "{ let q = $0; q += $1; q }" => |o| binary!(o, |a, b| Some(a + b));
    Plain 2 "{ let q = $0; q -= $1; q }" => |o| binary!(o, |a, b| Some(a - b));
    Plain 2 "{ let q = $0; q *= $1; q }" => |o| binary!(o, |a, b| a.checked_mul(b));
    Plain 2 "{ let q = $0; q /= $1; q }" => |o| binary!(o, |a, b| a.checked_div(b));
    Plain 2 "{ let q = $0; q %= $1; q }" => |o| binary!(o, |a, b| a.checked_rem(b));
    Plain 2 "{ let q = $0; q &= $1; q }" => |o| binary!(o, |a, b| Some(a & b));
    Plain 2 "{ let q = $0; q |= $1; q }" => |o| binary!(o, |a, b| Some(a | b));
    Plain 2 "{ let q = $0; q ^= $1; q }" => |o| binary!(o, |a, b| Some(a ^ b));
    Plain 2 "{ let q = $0; q <<= $1 & 3; q }" => |o| binary!(o, |a, b| a.checked_mul(1 << (b & 3)));
    Plain 2 "{ let q = $0; q >>= $1 & 3; q }" => |o| binary!(o, |a, b| Some(a >> (b & 3)));
    // Leaving.
    Plain 1 "Some($0)?" => |o| o.get(0);
    Plain 2 "Ok($0)? - Some($1)?" => |o| binary!(o, |a, b| Some(a - b));
    Plain 2 "loop { break ($0 - $1); }" => |o| binary!(o, |a, b| Some(a - b));
    Inner 2 "(|x, y| { if x == y { return $1; } return $0 - $1; })(x, y)" => |o| {
        o.apart(|o| if o.env()[0] == o.env()[1] { o.get(1) } else { binary!(o, |a, b| Some(a - b)) })
    };
    Inner 2 "gen((|x, y| { yield $0; yield $1; })(x, y))" => |o| o.apart(|o| binary!(o, |a, b| two(a, b)));
    // Patterns.
    Plain 2 "{ let (a, b) = ($0, $1); two((b, a)) }" => |o| binary!(o, |a, b| two(b, a));
    Plain 2 "{ let [a, b] = [$0, $1]; two((b, a)) }" => |o| binary!(o, |a, b| two(b, a));
    Plain 2 "{ let #{ a, b } = #{ a: $0, b: $1 }; two((b, a)) }" => |o| binary!(o, |a, b| two(b, a));
    Plain 2 "{ let P { a, b } = P { a: $0, b: $1 }; two((b, a)) }" => |o| binary!(o, |a, b| two(b, a));
    Plain 2 "if let (a, 8) = ($0, $1) { a } else { -1 }" => |o| binary!(o, |a, b| Some(if b == 8 { a } else { -1 }));
    Plain 2 "match $0 { 3 => 30, 8 => 80, n if n > $1 => n, _ => 2 }" => |o| match o.get(0)? {
        3 => Some(30),
        8 => Some(80),
        n => Some(if n > o.get(1)? { n } else { 2 }),
    };
    Plain 3 "match $0 { n if n > $1 => n, 3 => 30, n if n < $2 => -n, _ => 2 }" => |o| {
        let n = o.get(0)?;
        if n > o.get(1)? {
            Some(n)
        } else if n == 3 {
            Some(30)
        } else {
            Some(if n < o.get(2)? { -n } else { 2 })
        }
    };
    Plain 2 "match ($0, $1) { (a, b) if a > b => a, (3, b) => b, (a, _) => a + 1 }" => |o| binary!(o, |a, b| {
        Some(if a > b { a } else if a == 3 { b } else { a + 1 })
    });
    Plain 1 "match #{ a: $0 } { #{ a: 3 } => 1, #{ a } => a }" => |o| { let a = o.get(0)?; Some(if a == 3 { 1 } else { a }) };
    // Conditions and loops.
    Plain 4 "if $0 > $1 { $2 } else { $3 }" => |o| if o.get(0)? > o.get(1)? { o.get(2) } else { o.get(3) };
    Plain 2 "{ let s = 0; while s < ($0 & 7) { s += 1 + ($1 & 1); } s }" => |o| {
        let mut s = 0;
        while s < o.get(0)? & 7 {
            s += 1 + (o.get(1)? & 1);
        }
        Some(s)
    };
    Plain 2 "{ let s = 0; let it = [$0, $1].iter(); while let Some(e) = it.next() { s = s * 3 + e; } s }" => |o| {
        binary!(o, |a, b| Some(a * 3 + b))
    };
    Plain 2 "{ let s = 0; for e in [$0, $1] { s = s * 3 + e; } s }" => |o| binary!(o, |a, b| Some(a * 3 + b));
    Plain 2 "{ let s = 0; for e in ($0 & 3)..($1 & 7) { s += e; } s }" => |o| binary!(o, |a, b| Some(((a & 3)..(b & 7)).sum()));
    // Futures.
    Async 1 "later(3, $0).await" => |o| o.get(0);
    Async 2 "f2a($0, $1).await" => |o| binary!(o, |a, b| two(a, b));
    Async 2 "later(2, $0).await - later(1, $1).await" => |o| binary!(o, |a, b| Some(a - b));
    Async 2 "select { a = later(40, $0) => a, b = later(1, $1) => b - 1 }" => |o| binary!(o, |_a, b| Some(b - 1));
    Async 2 "async { ($0 - $1) }.await" => |o| o.apart(|o| binary!(o, |a, b| Some(a - b)));
};
