//! Agents from outside: fifty scripted runs, hostile results, budgets and hand-offs, and runs that are
//! killed.

mod crash;
mod fifty;
mod hostile;
mod kills;
mod runs;
mod shown;
mod tools;
