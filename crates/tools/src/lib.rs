//! Ready tools for agents. Each is one file; what it may touch stands at its top.
