//! The language as a whole.

mod bounds;

use crate::testing::gives;

#[test]
fn macros_work() {
    gives(&[
        ("[1, 2].all(x, x > 0)", "true"),
        ("has({'a': 1}.a)", "true"),
        ("has({'a': 1}['a'])", "true"),
        ("[1,2].map(n, n*n)", "[1,4]"),
    ]);
}
