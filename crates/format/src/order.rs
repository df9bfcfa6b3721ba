//! Names looked up by halving, in a list that keeps the order of the file. A hash table would need
//! every name twice, and a duplicate found by comparing all pairs would take minutes.

/// The places `0..count` ordered by name, or the first place whose name an earlier one has.
pub(crate) fn unique<'a>(
    count: usize,
    name: impl Fn(usize) -> &'a str,
) -> Result<Vec<usize>, usize> {
    let mut sorted: Vec<usize> = (0..count).collect();
    // Equal names in the order of the file: of two, the second is the later one.
    sorted.sort_unstable_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
    let repeated = sorted.windows(2).filter_map(|pair| match *pair {
        [a, b] if name(a) == name(b) => Some(b),
        _ => None,
    });
    match repeated.min() {
        Some(place) => Err(place),
        None => Ok(sorted),
    }
}

/// Where `wanted` stands in `sorted`, or where it would be inserted.
pub(crate) fn find<'a>(
    sorted: &[usize],
    name: impl Fn(usize) -> &'a str,
    wanted: &str,
) -> Result<usize, usize> {
    sorted.binary_search_by(|&place| name(place).cmp(wanted))
}
