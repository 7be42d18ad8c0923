//! Typed forwarding: an intent plugin imports `confab:capabilities/orders` as if it were linked with a connector.
//!
//! Each function of such an import is defined as a host function that turns its arguments into JSON by the
//! import's own types and goes the same way as a call by name. So the engine sees one kind of call,
//! journals and caches one kind of result, and neither plugin knows of the other.

use crate::reflect::{json_to_val, val_to_json};
use crate::services::CapabilityError;
use crate::state::CallState;
use serde_json::{Map, Value};
use std::sync::Arc;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem, Type};
use wasmtime::component::{Linker, Val};
use wasmtime::{Engine, Result, bail, format_err};

/// The capability's short name if this import is a capability interface: `confab:capabilities/orders@1.0.0` is `orders`;
/// an interface of another package keeps its package: `acme:erp/returns@1.2.0` is `acme:erp/returns`.
pub(crate) fn capability_name(interface: &str) -> Option<String> {
    let (path, _version) = interface.split_once('@').unwrap_or((interface, ""));
    if let Some(name) = path.strip_prefix("confab:capabilities/") {
        return (name != "types").then(|| name.to_owned());
    }
    (!path.starts_with("confab:plugin/") && !path.starts_with("wasi:") && path.contains('/')).then(|| path.to_owned())
}

/// Defines all functions of a capability import in the linker.
pub(crate) fn define(
    linker: &mut Linker<CallState>,
    engine: &Engine,
    interface: &str,
    capability: &str,
    instance: &ComponentInstance,
) -> Result<()> {
    let mut target = linker.instance(interface)?;
    for (name, item) in instance.exports(engine) {
        let ComponentItem::ComponentFunc(_) = item.ty else { continue };
        let capability: Arc<str> = Arc::from(capability);
        let function: Arc<str> = Arc::from(name);
        target.func_new_async(name, move |mut store, ty, args, results| {
            let (capability, function) = (capability.clone(), function.clone());
            Box::new(async move {
                let arguments = arguments_of(&ty, args)?;
                let state: &mut CallState = store.data_mut();
                state.count_invoke()?;
                let answer = state.services.invoke(&capability, &function, arguments).await;
                let Some(slot) = results.first_mut() else { return Ok(()) };
                *slot = result_of(&ty, answer)?;
                Ok(())
            })
        })?;
    }
    Ok(())
}

fn arguments_of(ty: &ComponentFunc, args: &[Val]) -> Result<Value> {
    let mut object = Map::new();
    for ((name, _), value) in ty.params().zip(args) {
        object.insert(name.replace('-', "_"), val_to_json(value)?);
    }
    Ok(Value::Object(object))
}

fn result_of(ty: &ComponentFunc, answer: Result<Value, CapabilityError>) -> Result<Val> {
    let Some(Type::Result(result)) = ty.results().next() else {
        bail!("a capability function must return a result");
    };
    let part = |ty: Option<Type>, value: Value| -> Result<Option<Box<Val>>> {
        match ty {
            Some(ty) => Ok(Some(Box::new(json_to_val(&ty, &value).map_err(|e| format_err!("{e}"))?))),
            None => Ok(None),
        }
    };
    // A connector of another version may answer what this import can't hold. That is an error of the call like any other,
    // and no fault of the plugin that calls.
    let answer = answer.and_then(|value| {
        part(result.ok(), value).map_err(|e| {
            CapabilityError::new("internal", format!("the answer does not fit this plugin's interface: {e}"))
        })
    });
    Ok(Val::Result(match answer {
        Ok(value) => Ok(value),
        Err(error) => Err(part(result.err(), serde_json::to_value(error).unwrap_or_default())?),
    }))
}
