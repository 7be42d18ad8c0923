//! What a component offers, read out of its types: nothing needs to be compiled for it.

use anyhow::{Result, anyhow, bail};
use confab_sandbox::offers::Offers;
use std::collections::BTreeMap;
use wit_component::DecodedWasm;
use wit_parser::WorldItem;

/// The exported interfaces with their functions.
pub(super) fn of(component: &[u8]) -> Result<Offers> {
    let decoded = wit_component::decode(component).map_err(|e| anyhow!("its exports can't be read: {e:#}"))?;
    let DecodedWasm::Component(resolve, world) = decoded else { bail!("it is a WIT package, no component") };
    let mut all = BTreeMap::new();
    for (key, item) in resolve.worlds.get(world).into_iter().flat_map(|world| &world.exports) {
        let WorldItem::Interface { id, .. } = item else { continue };
        let name = resolve.name_world_key(key);
        let path = name.split('@').next().unwrap_or(&name).to_owned();
        let functions = resolve.interfaces.get(*id).into_iter().flat_map(|interface| interface.functions.values());
        let arguments = |function: &wit_parser::Function| {
            function.params.iter().map(|param| param.name.replace('-', "_")).collect()
        };
        all.insert(path, functions.map(|function| (function.name.clone(), arguments(function))).collect());
    }
    Ok(Offers(all))
}
