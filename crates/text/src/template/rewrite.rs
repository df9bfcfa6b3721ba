//! Rewrites a parsed template so that each operator, subscript and literal container becomes a
//! call of ours. The engine keeps what it does well: parsing, scopes, loops, macros. What makes or
//! joins values is ours, because only ours keeps the marks of quoted bytes and a budget.
//!
//! | written | becomes |
//! |---|---|
//! | `a + b`, `a < b`, `a ~ b`, `-a` | filters `$add`, `$<`, `$concat`, `$neg` |
//! | `a.b`, `a[b]`, `a[b:c]`, `a.b(c)` | `$attr`, `$item`, `$slice`, `$method` |
//! | `[a]`, `(a,)`, `{a: b}` | `$list`, `$tuple`, `$dict` |
//! | text, `{{ a }}` | `{{ … }}`, so that all output passes the formatter |
//! | `for x in a` | `for x in a\|$iter` |
//! | `set a.b = c` | `set $ = a\|$setattr('b', c)` |
//! | captures: macro calls, `set` blocks, `filter` blocks | `…\|$lift`, which reads the marks back |
//!
//! No template can write a name that begins with `$`. Statements that a chat template has no use
//! for (`include`, `import`, `extends`, `do`, `autoescape`) are refused.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Spanned, Stmt};
use minijinja::{Error, ErrorKind, Value};

/// Rewrites a whole template.
pub(super) fn template<'a>(stmt: &Stmt<'a>) -> Result<Stmt<'a>, Error> {
    match stmt {
        Stmt::Template(t) => {
            let children = body(&t.children)?;
            Ok(Stmt::Template(Spanned::new(ast::Template { children }, t.span())))
        }
        other => statement(other),
    }
}

fn body<'a>(stmts: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, Error> {
    stmts.iter().map(statement).collect()
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::SyntaxError, format!("'{what}' is not a statement of chat templates"))
}

fn statement<'a>(stmt: &Stmt<'a>) -> Result<Stmt<'a>, Error> {
    Ok(match stmt {
        Stmt::Template(_) => return Err(refused("template")),
        Stmt::EmitExpr(s) => {
            Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr: expression(&s.expr) }, s.span()))
        }
        Stmt::EmitRaw(s) => {
            let expr = constant(Value::from(s.raw), s.span());
            Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr }, s.span()))
        }
        Stmt::ForLoop(s) => {
            let node = ast::ForLoop {
                target: target(&s.target),
                iter: filter("$iter", Some(expression(&s.iter)), vec![], s.span()),
                filter_expr: s.filter_expr.as_ref().map(expression),
                recursive: s.recursive,
                body: body(&s.body)?,
                else_body: body(&s.else_body)?,
            };
            Stmt::ForLoop(Spanned::new(node, s.span()))
        }
        Stmt::IfCond(s) => {
            let node = ast::IfCond {
                expr: expression(&s.expr),
                true_body: body(&s.true_body)?,
                false_body: body(&s.false_body)?,
            };
            Stmt::IfCond(Spanned::new(node, s.span()))
        }
        Stmt::WithBlock(s) => {
            let assignments =
                s.assignments.iter().map(|(to, from)| (target(to), expression(from))).collect();
            let node = ast::WithBlock { assignments, body: body(&s.body)? };
            Stmt::WithBlock(Spanned::new(node, s.span()))
        }
        Stmt::Set(s) => {
            let expr = expression(&s.expr);
            let node = match &s.target {
                Expr::GetAttr(to) => {
                    let args = vec![text(to.name, to.span()), expr];
                    ast::Set {
                        target: Expr::Var(Spanned::new(ast::Var { id: "$" }, s.span())),
                        expr: filter("$setattr", Some(expression(&to.expr)), args, s.span()),
                    }
                }
                to => ast::Set { target: target(to), expr },
            };
            Stmt::Set(Spanned::new(node, s.span()))
        }
        Stmt::SetBlock(s) if matches!(s.target, Expr::GetAttr(_)) => {
            // Into a name first, then from the name into the namespace.
            let Expr::GetAttr(to) = &s.target else { return Err(refused("set")) };
            let name = || Expr::Var(Spanned::new(ast::Var { id: "$" }, s.span()));
            let captured = ast::SetBlock {
                target: name(),
                filter: Some(capture(s.filter.as_ref(), s.span())),
                body: body(&s.body)?,
            };
            let args = vec![text(to.name, to.span()), name()];
            let expr = filter("$setattr", Some(expression(&to.expr)), args, s.span());
            let stored = ast::Set { target: name(), expr };
            let body = vec![
                Stmt::SetBlock(Spanned::new(captured, s.span())),
                Stmt::Set(Spanned::new(stored, s.span())),
            ];
            let node = ast::WithBlock { assignments: vec![], body };
            Stmt::WithBlock(Spanned::new(node, s.span()))
        }
        Stmt::SetBlock(s) => {
            let node = ast::SetBlock {
                target: target(&s.target),
                filter: Some(capture(s.filter.as_ref(), s.span())),
                body: body(&s.body)?,
            };
            Stmt::SetBlock(Spanned::new(node, s.span()))
        }
        Stmt::FilterBlock(s) => {
            let filter = capture(Some(&s.filter), s.span());
            let node = ast::FilterBlock { filter, body: body(&s.body)? };
            Stmt::FilterBlock(Spanned::new(node, s.span()))
        }
        // Without inheritance a block is its body, in a scope of its own.
        Stmt::Block(s) => {
            let node = ast::WithBlock { assignments: vec![], body: body(&s.body)? };
            Stmt::WithBlock(Spanned::new(node, s.span()))
        }
        Stmt::Macro(s) => Stmt::Macro(declaration(s)?),
        Stmt::CallBlock(s) => {
            let call = ast::Call { expr: callee(&s.call.expr), args: arguments(&s.call.args) };
            let node = ast::CallBlock {
                call: Spanned::new(call, s.call.span()),
                macro_decl: declaration(&s.macro_decl)?,
            };
            Stmt::CallBlock(Spanned::new(node, s.span()))
        }
        Stmt::Continue(s) => Stmt::Continue(Spanned::new(ast::Continue, s.span())),
        Stmt::Break(s) => Stmt::Break(Spanned::new(ast::Break, s.span())),
        Stmt::AutoEscape(_) => return Err(refused("autoescape")),
        Stmt::Import(_) | Stmt::FromImport(_) => return Err(refused("import")),
        Stmt::Extends(_) => return Err(refused("extends")),
        Stmt::Include(_) => return Err(refused("include")),
        Stmt::Do(_) => return Err(refused("do")),
    })
}

fn declaration<'a>(s: &Spanned<ast::Macro<'a>>) -> Result<Spanned<ast::Macro<'a>>, Error> {
    let node = ast::Macro {
        name: s.name,
        args: s.args.iter().map(target).collect(),
        defaults: s.defaults.iter().map(expression).collect(),
        body: body(&s.body)?,
    };
    Ok(Spanned::new(node, s.span()))
}

/// The filters of a capture, with `$lift` before the first.
fn capture<'a>(filters: Option<&Expr<'a>>, span: Span) -> Expr<'a> {
    match filters {
        Some(Expr::Filter(f)) => {
            let node = ast::Filter {
                name: f.name,
                expr: Some(capture(f.expr.as_ref(), span)),
                args: arguments(&f.args),
            };
            Expr::Filter(Spanned::new(node, f.span()))
        }
        _ => filter("$lift", None, vec![], span),
    }
}

/// What stands left of `=`, or between `for` and `in`: names, which the engine binds.
fn target<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::Var(e) => Expr::Var(Spanned::new(ast::Var { id: e.id }, e.span())),
        Expr::List(e) => {
            let items = e.items.iter().map(target).collect();
            Expr::List(Spanned::new(ast::List { items }, e.span()))
        }
        Expr::Tuple(e) => {
            let items = e.items.iter().map(target).collect();
            Expr::Tuple(Spanned::new(ast::Tuple { items }, e.span()))
        }
        Expr::GetAttr(e) => {
            let node = ast::GetAttr { expr: target(&e.expr), name: e.name };
            Expr::GetAttr(Spanned::new(node, e.span()))
        }
        other => expression(other),
    }
}

/// What stands before the brackets of a call that the engine makes itself.
fn callee<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::Var(e) => Expr::Var(Spanned::new(ast::Var { id: e.id }, e.span())),
        other => expression(other),
    }
}

fn arguments<'a>(args: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
    args.iter()
        .map(|arg| match arg {
            CallArg::Pos(e) => CallArg::Pos(expression(e)),
            CallArg::Kwarg(name, e) => CallArg::Kwarg(name, expression(e)),
            CallArg::PosSplat(e) => {
                let span = e.span();
                CallArg::PosSplat(filter("$iter", Some(expression(e)), vec![], span))
            }
            CallArg::KwargSplat(e) => CallArg::KwargSplat(expression(e)),
        })
        .collect()
}

fn constant(value: Value, span: Span) -> Expr<'static> {
    Expr::Const(Spanned::new(ast::Const { value }, span))
}

fn text(s: &str, span: Span) -> Expr<'static> {
    constant(Value::from(s), span)
}

/// A call of one of our operators; they have the shape of filters.
fn filter<'a>(
    name: &'static str,
    expr: Option<Expr<'a>>,
    args: Vec<Expr<'a>>,
    span: Span,
) -> Expr<'a> {
    let args = args.into_iter().map(CallArg::Pos).collect();
    Expr::Filter(Spanned::new(ast::Filter { name, expr, args }, span))
}

fn binary(op: BinOpKind) -> Option<&'static str> {
    Some(match op {
        BinOpKind::Add => "$add",
        BinOpKind::Sub => "$sub",
        BinOpKind::Mul => "$mul",
        BinOpKind::Div => "$div",
        BinOpKind::FloorDiv => "$floordiv",
        BinOpKind::Rem => "$rem",
        BinOpKind::Pow => "$pow",
        BinOpKind::Concat => "$concat",
        BinOpKind::Eq => "$==",
        BinOpKind::Ne => "$!=",
        BinOpKind::Lt => "$<",
        BinOpKind::Lte => "$<=",
        BinOpKind::Gt => "$>",
        BinOpKind::Gte => "$>=",
        BinOpKind::In => "$in",
        BinOpKind::ScAnd | BinOpKind::ScOr => return None,
    })
}

fn comparison(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "$==",
        CompareOpKind::Ne => "$!=",
        CompareOpKind::Lt => "$<",
        CompareOpKind::Lte => "$<=",
        CompareOpKind::Gt => "$>",
        CompareOpKind::Gte => "$>=",
        CompareOpKind::In => "$in",
        CompareOpKind::NotIn => "$not in",
    }
}

fn expression<'a>(expr: &Expr<'a>) -> Expr<'a> {
    let span = expr.span();
    match expr {
        // Jinja's `self` gives access to blocks. We have none, so it is there and empty.
        Expr::Var(e) if e.id == "self" => filter_all("$dict", std::iter::empty(), span),
        Expr::Var(e) => Expr::Var(Spanned::new(ast::Var { id: e.id }, span)),
        Expr::Const(e) => constant(e.value.clone(), span),
        Expr::Slice(e) => {
            let bound = |part: &Option<Expr<'a>>| {
                part.as_ref().map_or_else(|| constant(Value::from(()), span), expression)
            };
            let args = vec![bound(&e.start), bound(&e.stop), bound(&e.step)];
            filter("$slice", Some(expression(&e.expr)), args, span)
        }
        Expr::UnaryOp(e) => match e.op {
            ast::UnaryOpKind::Neg => filter("$neg", Some(expression(&e.expr)), vec![], span),
            ast::UnaryOpKind::Not => {
                let node = ast::UnaryOp { op: ast::UnaryOpKind::Not, expr: expression(&e.expr) };
                Expr::UnaryOp(Spanned::new(node, span))
            }
        },
        Expr::BinOp(e) => {
            let (left, right) = (expression(&e.left), expression(&e.right));
            match binary(e.op) {
                Some(name) => filter(name, Some(left), vec![right], span),
                None => Expr::BinOp(Spanned::new(ast::BinOp { op: e.op, left, right }, span)),
            }
        }
        Expr::Compare(e) => {
            let mut args = Vec::with_capacity(e.ops.len() * 2);
            for op in &e.ops {
                args.push(text(comparison(op.op), span));
                args.push(expression(&op.expr));
            }
            filter("$chain", Some(expression(&e.expr)), args, span)
        }
        Expr::IfExpr(e) => {
            let node = ast::IfExpr {
                test_expr: expression(&e.test_expr),
                true_expr: expression(&e.true_expr),
                false_expr: e.false_expr.as_ref().map(expression),
            };
            Expr::IfExpr(Spanned::new(node, span))
        }
        Expr::Filter(e) => {
            let node = ast::Filter {
                name: e.name,
                expr: e.expr.as_ref().map(expression),
                args: arguments(&e.args),
            };
            Expr::Filter(Spanned::new(node, span))
        }
        Expr::Test(e) => {
            let node =
                ast::Test { name: e.name, expr: expression(&e.expr), args: arguments(&e.args) };
            Expr::Test(Spanned::new(node, span))
        }
        Expr::GetAttr(e) => {
            filter("$attr", Some(expression(&e.expr)), vec![text(e.name, span)], span)
        }
        Expr::GetItem(e) => {
            let args = vec![expression(&e.subscript_expr)];
            filter("$item", Some(expression(&e.expr)), args, span)
        }
        Expr::Call(e) => {
            let call = match &e.expr {
                Expr::GetAttr(method) => {
                    let mut args = vec![CallArg::Pos(text(method.name, span))];
                    args.extend(arguments(&e.args));
                    let expr = Some(expression(&method.expr));
                    let node = ast::Filter { name: "$method", expr, args };
                    Expr::Filter(Spanned::new(node, span))
                }
                other => {
                    let node = ast::Call { expr: callee(other), args: arguments(&e.args) };
                    Expr::Call(Spanned::new(node, span))
                }
            };
            // A macro gives back what it wrote, marks and all.
            filter("$lift", Some(call), vec![], span)
        }
        Expr::List(e) => filter_all("$list", e.items.iter(), span),
        Expr::Tuple(e) => filter_all("$tuple", e.items.iter(), span),
        Expr::Map(e) => {
            let pairs = e.keys.iter().zip(&e.values).flat_map(|(key, value)| [key, value]);
            filter_all("$dict", pairs, span)
        }
    }
}

/// A call whose arguments are all alike: the first takes a filter's place of honour.
fn filter_all<'a, 'b>(
    name: &'static str,
    items: impl Iterator<Item = &'b Expr<'a>>,
    span: Span,
) -> Expr<'a>
where
    'a: 'b,
{
    let mut items = items.map(expression);
    match items.next() {
        Some(first) => filter(name, Some(first), items.collect(), span),
        None => {
            let node = ast::Call {
                expr: Expr::Var(Spanned::new(ast::Var { id: name }, span)),
                args: Vec::new(),
            };
            Expr::Call(Spanned::new(node, span))
        }
    }
}
