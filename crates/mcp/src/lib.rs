//! The Model Context Protocol, both ways: tools and resources of others become tools of an agent, and
//! tools of ours are offered to others.
