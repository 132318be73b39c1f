//! A Service's endpoints as rows, in their old form and in slices.

use serde_json::Value;

use super::{AGE, Layout, NAME, age, first_three, name, text, text_or, texts};

pub(super) const ENDPOINTS: Layout = Layout {
    columns: &[NAME, text("Endpoints"), AGE],
    cells: |object| {
        vec![name(object), first_three(&addresses(object), "<none>").into(), age(object)]
    },
};

pub(super) const SLICES: Layout = Layout {
    columns: &[NAME, text("AddressType"), text("Ports"), text("Endpoints"), AGE],
    cells: |slice| {
        vec![
            name(slice),
            text_or(&slice["addressType"], ""),
            first_three(&slice_ports(slice), "<unset>").into(),
            first_three(&slice_addresses(slice), "<unset>").into(),
            age(slice),
        ]
    },
};

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Every ready address with every port.
fn addresses(object: &Value) -> Vec<String> {
    let of_subset = |subset: &Value| -> Vec<String> {
        let addresses: Vec<&str> = texts(&subset["addresses"], "ip").collect();
        let with_port = |port: &Value| {
            addresses
                .iter()
                .map(|address| format!("{address}:{}", port["port"]))
                .collect::<Vec<_>>()
        };
        match subset["ports"].as_array().filter(|ports| !ports.is_empty()) {
            Some(ports) => ports.iter().flat_map(with_port).collect(),
            None => addresses.iter().map(|&address| address.to_owned()).collect(),
        }
    };
    items(&object["subsets"]).flat_map(of_subset).collect()
}

fn slice_ports(slice: &Value) -> Vec<String> {
    let text = |port: &Value| match (&port["port"], port["name"].as_str()) {
        (Value::Null, Some(name)) => name.to_owned(),
        (Value::Null, None) => "*".to_owned(),
        (number, _) => number.to_string(),
    };
    items(&slice["ports"]).map(text).collect()
}

/// All addresses, ready or not.
fn slice_addresses(slice: &Value) -> Vec<String> {
    let addresses = items(&slice["endpoints"]).flat_map(|endpoint| items(&endpoint["addresses"]));
    addresses.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn at_most_three_are_shown() {
        let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let object = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        let cells = (ENDPOINTS.cells)(&object);
        assert_eq!(cells[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
        assert_eq!((ENDPOINTS.cells)(&json!({}))[1], "<none>");
        let slice = json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]});
        assert_eq!((SLICES.cells)(&slice)[1..4], ["IPv4", "80", "10.0.0.1"].map(Value::from));
        assert_eq!((SLICES.cells)(&json!({}))[2..4], ["<unset>", "<unset>"].map(Value::from));
    }
}
