//! What is in it at the beginning: a shop with two warehouses, a company that bought, and somebody else's order.

use super::{NOW, Orm, Record};
use serde_json::{Value, json};

/// What Odoo sets by itself.
pub(super) fn defaults(model: &str, id: i64) -> Record {
    let values = match model {
        "crm.lead" => {
            json!({"type": "opportunity", "active": true, "stage_id": 1, "probability": 10.0, "team_id": 1, "user_id": 2})
        }
        "helpdesk.ticket" => json!({
            "active": true, "stage_id": 1, "priority": "1", "create_date": NOW, "write_date": NOW, "number": format!("HT{id:05}"),
            "ticket_ref": format!("{id}"), "access_url": format!("/my/ticket/{id}"),
        }),
        "project.task" => json!({
            "active": true, "stage_id": 1, "priority": "0", "state": "01_in_progress", "create_date": NOW, "write_date": NOW,
            "access_url": format!("/my/tasks/{id}"),
        }),
        "res.partner" | "product.product" => json!({"active": true}),
        _ => json!({}),
    };
    values.as_object().cloned().unwrap_or_default()
}

pub(super) fn fill(orm: &mut Orm) {
    put(orm, "res.currency", &json!([{"id": 1, "name": "EUR"}]));
    put(
        orm,
        "res.company",
        &json!([{"id": 1, "name": "Shop GmbH", "currency_id": 1}, {"id": 2, "name": "Other GmbH", "currency_id": 1}]),
    );
    put(
        orm,
        "res.users",
        &json!([{"id": 2, "login": "chatbot@example.test", "company_id": 1, "partner_id": 1, "email": "chatbot@example.test"}]),
    );
    put(
        orm,
        "res.lang",
        &json!([
            {"id": 1, "name": "English (US)", "code": "en_US", "active": true}, {"id": 2, "name": "German", "code": "de_DE", "active": true},
            {"id": 3, "name": "French", "code": "fr_FR", "active": false}
        ]),
    );
    put(orm, "uom.uom", &json!([{"id": 1, "name": "Units"}]));
    put(
        orm,
        "res.partner",
        &json!([
            {"id": 1, "name": "Chatbot", "email": "chatbot@example.test", "active": true},
            {"id": 7, "name": "Muster & Söhne GmbH", "email": "Einkauf@muster.example", "phone": "+43 1 5550100", "zip": "1010", "is_company": true, "active": true, "ref": "C-7"},
            {"id": 8, "name": "Erika Mustermann", "email": "erika@example.test", "mobile": "0660/555 01 77", "zip": "8010", "active": true},
            {"id": 9, "name": "Karl Käufer", "email": "karl@muster.example", "parent_id": 7, "active": true},
            {"id": 10, "name": "Erika Mustermann (old)", "email": "erika@example.test", "active": false},
            {"id": 11, "name": "Dora Direkt", "phone": "+43 1 5550144", "zip": "6020", "active": true}
        ]),
    );
    put(
        orm,
        "product.category",
        &json!([{"id": 1, "name": "All", "complete_name": "All"}, {"id": 2, "name": "Machines", "complete_name": "All / Coffee / Machines"}, {"id": 3, "name": "Coffee", "complete_name": "All / Coffee"}]),
    );
    put(
        orm,
        "product.template",
        &json!([{"id": 101, "name": "a"}, {"id": 102, "name": "b"}, {"id": 103, "name": "c"}, {"id": 104, "name": "d"}, {"id": 105, "name": "e"}, {"id": 106, "name": "f"}]),
    );
    let storable = if orm.version >= 18 { "consu" } else { "product" };
    let goods = |id: i64, sku: &str, name: &str, price: f64, category: i64, more: Value| {
        let mut product = json!({
            "id": id, "default_code": sku, "name": name, "lst_price": price, "currency_id": 1, "categ_id": category, "product_tmpl_id": id + 100,
            "sale_ok": true, "active": true, "uom_id": 1, "type": storable,
            "detailed_type": "product", "is_storable": true
        });
        if let (Some(product), Some(more)) = (product.as_object_mut(), more.as_object()) {
            product.extend(more.clone());
        }
        product
    };
    put(
        orm,
        "product.product",
        &json!([
            goods(
                1,
                "SKU-1001",
                "Espresso machine",
                349.0,
                2,
                json!({"description_sale": "Two boilers, 50% less energy", "accessory_product_ids": [2], "website_url": "/shop/espresso-machine-1"})
            ),
            goods(2, "SKU-1002", "Grinder Grün", 129.9, 2, json!({"alternative_product_ids": [104]})),
            goods(3, "SKU-1003", "Coffee beans 1 kg", 19.5, 3, json!({})),
            goods(4, "SKU-1004", "Hand grinder", 49.0, 2, json!({})),
            goods(
                5,
                "SKU-1005",
                "Descaling",
                90.0,
                2,
                json!({"type": "service", "detailed_type": "service", "is_storable": false})
            ),
            goods(6, "SKU-1006", "Old machine", 99.0, 2, json!({"active": false})),
            goods(7, "SKU_1001", "Underscore", 1.0, 3, json!({"product_tmpl_id": 106})),
        ]),
    );
    put(
        orm,
        "stock.warehouse",
        &json!([{"id": 1, "name": "Wien", "code": "WH", "company_id": 1, "sequence": 1, "active": true}, {"id": 2, "name": "Graz", "code": "GR", "company_id": 1, "sequence": 2, "active": true}, {"id": 3, "name": "Elsewhere", "code": "XX", "company_id": 2, "sequence": 3, "active": true}]),
    );
    // What goes from the supplier to the customer has a code of its own from 17 on.
    let dropship = if orm.version >= 17 { "dropship" } else { "incoming" };
    put(
        orm,
        "stock.location",
        &json!([{"id": 1, "name": "Vendors", "usage": "supplier"}, {"id": 2, "name": "Stock", "usage": "internal"}, {"id": 3, "name": "Customers", "usage": "customer"}]),
    );
    put(
        orm,
        "stock.picking.type",
        &json!([{"id": 4, "name": "Dropship", "code": dropship}, {"id": 1, "name": "Receipts", "code": "incoming", "warehouse_id": 1}, {"id": 2, "name": "Delivery Orders", "code": "outgoing", "warehouse_id": 1}, {"id": 3, "name": "Pick", "code": "internal", "warehouse_id": 1}]),
    );
    put(orm, "delivery.carrier", &json!([{"id": 1, "name": "Express"}]));
    put(
        orm,
        "sale.order",
        &json!([
            {"id": 42, "name": "S00042", "client_order_ref": "WEB-42", "state": "sale", "date_order": "2026-11-20 08:15:30", "amount_total": 698.0, "currency_id": 1, "partner_id": 9, "partner_invoice_id": 7, "partner_shipping_id": 9, "company_id": 1, "delivery_status": "started", "commitment_date": "2026-11-25 12:00:00"},
            {"id": 41, "name": "S00041", "client_order_ref": "WEB-41", "state": "sale", "date_order": "2026-11-01 10:00:00", "amount_total": 149.4, "currency_id": 1, "partner_id": 8, "partner_invoice_id": 8, "partner_shipping_id": 8, "company_id": 1, "delivery_status": "full"},
            {"id": 43, "name": "S00043", "client_order_ref": "WEB-42", "state": "cancel", "date_order": "2026-11-21 10:00:00", "amount_total": 0.0, "currency_id": 1, "partner_id": 8, "partner_invoice_id": 8, "partner_shipping_id": 8, "company_id": 1},
            {"id": 44, "name": "S00044", "client_order_ref": "WEB-44", "state": "sale", "date_order": "2026-11-21 10:00:00", "amount_total": 5.0, "currency_id": 1, "partner_id": 8, "partner_invoice_id": 8, "partner_shipping_id": 8, "company_id": 2},
            {"id": 45, "name": "S00045", "state": "sale", "date_order": "2026-11-05 10:00:00", "amount_total": 20.0, "currency_id": 1, "partner_id": 11, "partner_invoice_id": 11, "partner_shipping_id": 11, "company_id": 1, "delivery_status": "full"}
        ]),
    );
    put(
        orm,
        "sale.order.line",
        &json!([
            {"id": 1, "order_id": 42, "product_id": 1, "name": "[SKU-1001] Espresso machine\nsilver", "product_uom_qty": 2.0, "price_total": 698.0, "sequence": 10, "state": "sale", "order_partner_id": 9},
            {"id": 2, "order_id": 42, "name": "A note", "display_type": "line_note", "sequence": 20, "state": "sale", "order_partner_id": 9},
            {"id": 3, "order_id": 41, "product_id": 2, "name": "Grinder", "product_uom_qty": 1.0, "price_total": 129.9, "sequence": 10, "state": "sale", "order_partner_id": 8},
            {"id": 4, "order_id": 41, "product_id": 3, "name": "Beans", "product_uom_qty": 1.0, "price_total": 19.5, "sequence": 20, "state": "sale", "order_partner_id": 8},
            {"id": 5, "order_id": 42, "product_id": 3, "name": "Beans", "product_uom_qty": 0.5, "price_total": 0.0, "sequence": 30, "state": "sale", "order_partner_id": 9},
            {"id": 6, "order_id": 42, "product_id": 6, "name": "Old", "product_uom_qty": 0.0, "price_total": 0.0, "sequence": 40, "state": "sale", "order_partner_id": 9}
        ]),
    );
    put(
        orm,
        "stock.picking",
        &json!([
            {"id": 1, "name": "WH/OUT/1", "state": "done", "picking_type_id": 2, "picking_type_code": "outgoing", "location_id": 2, "location_dest_id": 3, "scheduled_date": "2026-11-02 08:00:00", "date_done": "2026-11-02 14:07:50", "sale_id": 41, "carrier_id": 1, "carrier_tracking_ref": "EX0000041AT", "carrier_tracking_url": "https://express.example/EX0000041AT"},
            {"id": 2, "name": "WH/PICK/1", "state": "done", "picking_type_id": 3, "picking_type_code": "internal", "location_id": 2, "location_dest_id": 2, "scheduled_date": "2026-11-01 08:00:00", "sale_id": 41},
            {"id": 3, "name": "WH/OUT/2", "state": "assigned", "picking_type_id": 2, "picking_type_code": "outgoing", "location_id": 2, "location_dest_id": 3, "scheduled_date": "2026-11-25 08:00:00", "sale_id": 42},
            {"id": 4, "name": "DS/1", "state": "done", "picking_type_id": 4, "picking_type_code": dropship, "location_id": 1, "location_dest_id": 3, "is_dropship": true, "scheduled_date": "2026-11-06 08:00:00", "date_done": "2026-11-07 09:00:00", "sale_id": 45},
            {"id": 5, "name": "WH/IN/5", "state": "done", "picking_type_id": 1, "picking_type_code": "incoming", "location_id": 3, "location_dest_id": 2, "scheduled_date": "2026-11-10 08:00:00", "date_done": "2026-11-12 09:00:00", "sale_id": 45},
            {"id": 6, "name": "WH/IN/6", "state": "done", "picking_type_id": 1, "picking_type_code": "incoming", "location_id": 1, "location_dest_id": 2, "scheduled_date": "2026-11-11 08:00:00", "date_done": "2026-11-11 09:00:00", "sale_id": 45}
        ]),
    );
    put(
        orm,
        "stock.move",
        &json!([{"id": 1, "product_id": 4, "state": "assigned", "date": "2026-12-01 08:00:00", "picking_type_id": 1, "product_uom_qty": 10.0}]),
    );
    put(orm, "crm.team", &json!([{"id": 1, "name": "Sales"}]));
    put(
        orm,
        "crm.stage",
        &json!([{"id": 1, "name": "New", "sequence": 1}, {"id": 2, "name": "Qualified", "sequence": 2}, {"id": 3, "name": "Other team's", "sequence": 2, "team_id": 2}, {"id": 4, "name": "Won", "sequence": 70, "is_won": true}]),
    );
    put(
        orm,
        "mail.message.subtype",
        &json!([{"id": 1, "name": "Discussions", "internal": false}, {"id": 2, "name": "Note", "internal": true}]),
    );
    put(orm, "helpdesk.team", &json!([{"id": 1, "name": "Customer Care"}, {"id": 2, "name": "Repairs"}]));
    put(
        orm,
        "helpdesk.stage",
        &json!([{"id": 1, "name": "New", "sequence": 0, "team_ids": [1, 2]}, {"id": 2, "name": "In Progress", "sequence": 1, "team_ids": [1, 2]}, {"id": 3, "name": "Solved", "sequence": 2, "fold": true, "team_ids": [1, 2]}]),
    );
    put(orm, "helpdesk.ticket.team", &json!([{"id": 1, "name": "Customer Care"}]));
    put(orm, "helpdesk.ticket.category", &json!([{"id": 1, "name": "Repairs"}]));
    put(
        orm,
        "helpdesk.ticket.stage",
        &json!([{"id": 1, "name": "New", "sequence": 1}, {"id": 2, "name": "In Progress", "sequence": 2}, {"id": 3, "name": "Done", "sequence": 3, "closed": true}, {"id": 4, "name": "Repaired", "sequence": 0, "closed": true, "team_ids": [1]}]),
    );
    let team = json!(orm.field("helpdesk.ticket", "ticket_ref").map(|_| 1));
    put(
        orm,
        "helpdesk.ticket",
        &json!([
            {"id": 5, "name": "Steam wand drips", "number": "HT00005", "ticket_ref": "00005", "team_id": team, "description": "<p>Since Monday</p>", "partner_id": 8, "partner_email": "erika@example.test", "stage_id": 2, "active": true, "create_date": "2026-11-10 09:00:00", "write_date": "2026-11-11 09:00:00", "priority": "1"},
            {"id": 6, "name": "Invoice", "number": "HT00006", "ticket_ref": "00006", "team_id": team, "description": "<p>Wrong</p>", "partner_id": 7, "partner_email": "einkauf@muster.example", "stage_id": 3, "active": true, "create_date": "2026-11-12 09:00:00", "write_date": "2026-11-12 09:00:00", "priority": "1"}
        ]),
    );
    put(
        orm,
        "mail.message",
        &json!([
            {"id": 1, "model": "helpdesk.ticket", "res_id": 5, "date": "2026-11-10 09:00:00", "author_id": 8, "body": "<p>It drips &amp; drips</p>", "message_type": "comment", "subtype_id": 1},
            {"id": 2, "model": "helpdesk.ticket", "res_id": 5, "date": "2026-11-11 09:00:00", "author_id": 1, "body": "<p>Internal: rude customer</p>", "message_type": "comment", "subtype_id": 2, "is_internal": true}
        ]),
    );
    put(orm, "project.project", &json!([{"id": 3, "name": "Support"}]));
    put(
        orm,
        "project.task.type",
        &json!([{"id": 1, "name": "New", "sequence": 1, "project_ids": [3]}, {"id": 2, "name": "Done", "sequence": 2, "fold": true, "project_ids": [3]}, {"id": 3, "name": "Somebody's own", "sequence": 0, "fold": true, "user_id": 2}]),
    );
    orm.german.insert(("product.product".into(), 1), "Espressomaschine".into());
    orm.quants = vec![
        (1, 1, 5.0, 2.0),
        (1, 2, 2.0, 0.0),
        (2, 1, 9.0, 0.0),
        (3, 1, 40.0, 0.0),
        (4, 1, 3.0, 3.0),
        (7, 1, 1.0, 0.0),
    ];
}

/// Puts records in past all rules, without the fields that this Odoo does not have.
fn put(orm: &mut Orm, model: &str, records: &Value) {
    if !orm.schema.contains_key(model) {
        return;
    }
    for record in records.as_array().into_iter().flatten() {
        let id = record["id"].as_i64().unwrap_or_default();
        let mut values = record.as_object().cloned().unwrap_or_default();
        values.retain(|name, _| name != "id" && orm.field(model, name).is_some());
        orm.insert(model, id, values);
    }
}
