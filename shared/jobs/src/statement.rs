//! A statement and its arguments, as plain data: it can wait, be run with others in one transaction, or be run again.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Sqlite, query::Query, sqlite::SqliteArguments};

/// A statement and its arguments, `$1` first.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: Cow<'static, str>,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
enum Argument {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Vec<u8>),
}

impl Statement {
    /// `sql` is ours: what callers send is an argument, never part of it.
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), arguments: Vec::new() }
    }

    /// The next argument is a number, or none.
    pub(crate) fn int(mut self, value: impl Into<Option<i64>>) -> Self {
        self.arguments.push(Argument::Int(value.into()));
        self
    }

    /// The next argument is a text.
    pub(crate) fn text(mut self, value: impl Into<String>) -> Self {
        self.arguments.push(Argument::Text(Some(value.into())));
        self
    }

    /// The next argument is a text, or none.
    pub(crate) fn optional_text(mut self, value: Option<String>) -> Self {
        self.arguments.push(Argument::Text(value));
        self
    }

    /// The next argument is bytes.
    pub(crate) fn blob(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(Argument::Blob(value.into()));
        self
    }

    /// The query to run.
    pub(crate) fn query(&self) -> Query<'static, Sqlite, SqliteArguments> {
        self.arguments.iter().cloned().fold(sqlx::query(AssertSqlSafe(self.sql.clone())), |query, argument| {
            match argument {
                Argument::Int(value) => query.bind(value),
                Argument::Text(value) => query.bind(value),
                Argument::Blob(value) => query.bind(value),
            }
        })
    }
}
