//! Kinds of which there is little to show.

use super::{AGE, Layout, NAME, age, count, name, text, text_or};

pub(super) const NAMESPACES: Layout = Layout {
    columns: &[NAME, text("Status"), AGE],
    cells: |object| vec![name(object), text_or(&object["status"]["phase"], ""), age(object)],
};

pub(super) const LEASES: Layout = Layout {
    columns: &[NAME, text("Holder"), AGE],
    cells: |object| vec![name(object), text_or(&object["spec"]["holderIdentity"], ""), age(object)],
};

pub(super) const CONFIG_MAPS: Layout = Layout {
    columns: &[NAME, text("Data"), AGE],
    cells: |object| {
        vec![
            name(object),
            (count(&object["data"]) + count(&object["binaryData"])).into(),
            age(object),
        ]
    },
};

pub(super) const SECRETS: Layout = Layout {
    columns: &[NAME, text("Type"), text("Data"), AGE],
    cells: |object| {
        vec![name(object), text_or(&object["type"], ""), count(&object["data"]).into(), age(object)]
    },
};

pub(super) const SERVICE_ACCOUNTS: Layout = Layout {
    columns: &[NAME, text("Secrets"), AGE],
    cells: |object| vec![name(object), count(&object["secrets"]).into(), age(object)],
};

pub(super) const OTHERS: Layout =
    Layout { columns: &[NAME, AGE], cells: |object| vec![name(object), age(object)] };
