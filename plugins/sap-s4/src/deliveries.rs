//! Where goods are: the deliveries that followed an order (`to_SubsequentProcFlowDoc`, category J), read from
//! `API_OUTBOUND_DELIVERY_SRV`, version 2.
//!
//! | SAP | here |
//! |---|---|
//! | `OverallProofOfDeliveryStatus` C | `delivered` |
//! | `OverallGoodsMovementStatus` C | `shipped` |
//! | `OverallPackingStatus` or `OverallPickingStatus` C | `packed` |
//! | anything else | `pending` |

use crate::gateway::{Gateway, either, key, moment};
use crate::orders::{SERVICE, state};
use confab_plugin_sdk::json;
use confab_plugin_sdk::odata::{Query, literal};
use confab_plugin_sdk::orders::{Tracking, TrackingEvent};
use confab_plugin_sdk::prelude::*;
use serde_json::Value;

pub(crate) const DELIVERIES: &str = "API_OUTBOUND_DELIVERY_SRV;v=0002";
/// Deliveries of one order that are told.
const MOST: usize = 20;
const FIELDS: &str = "DeliveryDocument,OverallGoodsMovementStatus,OverallPackingStatus,OverallPickingStatus,\
    OverallProofOfDeliveryStatus,ActualGoodsMovementDate,ProofOfDeliveryDate,DeliveryDate,BillOfLading";

impl Gateway {
    pub(crate) fn tracking(&self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let order = self.proven(number, proof)?;
        let own = json::text(&order, "/SalesOrder").unwrap_or_default();
        let path = format!("/A_SalesOrder({})/to_SubsequentProcFlowDoc", path_segment(&literal(&own)));
        let query = Query::new(path).filter("SubsequentDocumentCategory eq 'J'").select(&["SubsequentDocument"]);
        let flow = self.list(SERVICE, query, 200)?;
        let mut numbers: Vec<String> = flow.iter().filter_map(|f| json::text(f, "/SubsequentDocument")).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(MOST);
        if numbers.is_empty() {
            if state(&order) == "cancelled" {
                return Ok(Vec::new());
            }
            let expected_at = moment(&order, "RequestedDeliveryDate");
            return Ok(vec![Tracking { state: "pending".into(), expected_at, ..Tracking::default() }]);
        }
        let these = either("DeliveryDocument", numbers.iter().map(|number| key(number)));
        let query = Query::new("/A_OutbDeliveryHeader").filter(these).select(&[FIELDS]);
        let found = self.list(DELIVERIES, query.order_by("DeliveryDocument asc"), MOST)?;
        Ok(found.iter().map(parcel).collect())
    }
}

fn parcel(delivery: &Value) -> Tracking {
    let done = |field: &str| json::text(delivery, field).as_deref() == Some("C");
    let (left, arrived) = (done("/OverallGoodsMovementStatus"), done("/OverallProofOfDeliveryStatus"));
    let state = match () {
        () if arrived => "delivered",
        () if left => "shipped",
        () if done("/OverallPackingStatus") || done("/OverallPickingStatus") => "packed",
        () => "pending",
    };
    let event = |field: &str, happened: bool, text: &str| {
        let at = moment(delivery, field).filter(|_| happened)?;
        Some(TrackingEvent { at, text: text.to_owned(), place: None })
    };
    let events = [
        event("ActualGoodsMovementDate", left, host::say("Left the warehouse", "Hat das Lager verlassen")),
        event("ProofOfDeliveryDate", arrived, host::say("Delivered", "Zugestellt")),
    ];
    Tracking {
        state: state.into(),
        carrier: None,
        tracking_number: json::text(delivery, "/BillOfLading"),
        url: None,
        expected_at: moment(delivery, "DeliveryDate").filter(|_| !arrived),
        events: events.into_iter().flatten().collect(),
    }
}
