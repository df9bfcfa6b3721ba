//! `ondine rm`: a name of the store goes, and its content where nobody needs it.

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::{output, store};

/// Removes a model.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let name = store::name(&arguments.text("name").unwrap_or_default())?;
    let swept = store::create(None)?.remove(&name)?;
    if swept.busy {
        output::remark("the name is gone; the space is freed when the running pull ends");
    } else if swept.held > 0 {
        output::remark(
            "the name is gone; the space is freed by a later pull or rm, as it is in use",
        );
    } else {
        output::remark(format_args!("freed {}", output::bytes(swept.bytes)));
    }
    Ok(())
}
