//! The models as Odoo 16, 17 and 18 have them, as far as a connector could ask for them.
//!
//! One line a model: `name:kind`, with `=model` for what it is related to, `~inverse` for lists, `!` for required,
//! `@16-17` for the versions that have it, `#app` for the app.

use std::collections::BTreeMap;

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) kind: String,
    pub(super) comodel: Option<String>,
    /// The field of the related model that points back.
    pub(super) inverse: Option<String>,
    /// Values of a selection.
    pub(super) choices: Vec<String>,
    pub(super) required: bool,
}

const MODELS: [(&str, &str, &str); 26] = [
    ("res.users", "base", "login:char! company_id:m2o=res.company! partner_id:m2o=res.partner email:char"),
    ("res.company", "base", "name:char! currency_id:m2o=res.currency"),
    ("res.currency", "base", "name:char!"),
    ("res.lang", "base", "name:char! code:char! active:boolean"),
    ("uom.uom", "base", "name:char!"),
    (
        "res.partner",
        "base",
        "name:char email:char email_normalized:char phone:char mobile:char zip:char ref:char is_company:boolean parent_id:m2o=res.partner \
         company_name:char commercial_partner_id:m2o=res.partner active:boolean comment:html street:char city:char",
    ),
    ("product.category", "sale", "name:char! complete_name:char parent_id:m2o=product.category"),
    (
        "product.template",
        "sale",
        "name:char! optional_product_ids:m2m=product.template accessory_product_ids:m2m=product.product#website \
         alternative_product_ids:m2m=product.template#website website_url:char#website active:boolean",
    ),
    (
        "product.product",
        "sale",
        "name:char! default_code:char barcode:char description_sale:text lst_price:float currency_id:m2o=res.currency \
         categ_id:m2o=product.category product_tmpl_id:m2o=product.template! sale_ok:boolean active:boolean company_id:m2o=res.company \
         uom_id:m2o=uom.uom type:selection=consu,service,product@16-17 type:selection=consu,service,combo@18-18 \
         detailed_type:selection=consu,service,product@16-17 is_storable:boolean@18-18#stock optional_product_ids:m2m=product.template \
         accessory_product_ids:m2m=product.product#website alternative_product_ids:m2m=product.template#website website_url:char#website \
         qty_available:float#stock free_qty:float#stock virtual_available:float#stock",
    ),
    (
        "sale.order",
        "sale",
        "name:char! client_order_ref:char state:selection=draft,sent,sale,done,cancel@16-16 state:selection=draft,sent,sale,cancel@17-18 \
         locked:boolean@17-18 date_order:datetime! commitment_date:datetime amount_total:monetary currency_id:m2o=res.currency \
         partner_id:m2o=res.partner! partner_invoice_id:m2o=res.partner partner_shipping_id:m2o=res.partner company_id:m2o=res.company! \
         order_line:o2m=sale.order.line~order_id delivery_status:selection=pending,started,partial,full#stock \
         picking_ids:o2m=stock.picking~sale_id#stock",
    ),
    (
        "sale.order.line",
        "sale",
        "order_id:m2o=sale.order! product_id:m2o=product.product name:text! product_uom_qty:float price_total:monetary price_subtotal:monetary \
         display_type:selection=line_section,line_note sequence:integer state:selection=draft,sent,sale,done,cancel \
         order_partner_id:m2o=res.partner",
    ),
    ("stock.warehouse", "stock", "name:char! code:char! company_id:m2o=res.company sequence:integer active:boolean"),
    (
        "stock.picking.type",
        "stock",
        "name:char! code:selection=incoming,outgoing,internal,dropship warehouse_id:m2o=stock.warehouse",
    ),
    ("stock.location", "stock", "name:char! usage:selection=supplier,internal,customer,transit!"),
    (
        "stock.quant",
        "stock",
        "product_id:m2o=product.product! location_id:m2o=stock.location! quantity:float reserved_quantity:float",
    ),
    (
        "stock.picking",
        "stock",
        "name:char state:selection=draft,waiting,confirmed,assigned,done,cancel picking_type_id:m2o=stock.picking.type! \
         picking_type_code:selection=incoming,outgoing,internal,dropship location_id:m2o=stock.location! location_dest_id:m2o=stock.location! \
         is_dropship:boolean#dropship scheduled_date:datetime date_done:datetime sale_id:m2o=sale.order \
         carrier_id:m2o=delivery.carrier#delivery carrier_tracking_ref:char#delivery carrier_tracking_url:char#delivery",
    ),
    ("delivery.carrier", "delivery", "name:char!"),
    (
        "stock.move",
        "stock",
        "product_id:m2o=product.product! state:selection=draft,waiting,confirmed,partially_available,assigned,done,cancel date:datetime! \
         picking_type_id:m2o=stock.picking.type product_uom_qty:float",
    ),
    ("crm.stage", "crm", "name:char! is_won:boolean sequence:integer team_id:m2o=crm.team fold:boolean"),
    (
        "crm.lead",
        "crm",
        "name:char! type:selection=lead,opportunity! active:boolean stage_id:m2o=crm.stage partner_id:m2o=res.partner team_id:m2o=crm.team \
         contact_name:char partner_name:char email_from:char phone:char description:html referred:char probability:float user_id:m2o=res.users \
         company_id:m2o=res.company",
    ),
    (
        "mail.message",
        "base",
        "model:char res_id:integer date:datetime author_id:m2o=res.partner email_from:char body:html is_internal:boolean \
         message_type:selection=email,comment,notification,user_notification subtype_id:m2o=mail.message.subtype",
    ),
    ("mail.message.subtype", "base", "name:char! internal:boolean"),
    ("crm.team", "crm", "name:char!"),
    (
        "project.task",
        "project",
        "name:char! project_id:m2o=project.project partner_id:m2o=res.partner stage_id:m2o=project.task.type description:html active:boolean \
         priority:selection=0,1 state:selection=01_in_progress,03_approved,1_done,1_canceled!@17-18 access_url:char create_date:datetime \
         write_date:datetime",
    ),
    ("project.project", "project", "name:char!"),
    (
        "project.task.type",
        "project",
        "name:char! fold:boolean sequence:integer project_ids:m2m=project.project user_id:m2o=res.users",
    ),
];

/// Helpdesk (Enterprise).
const ENTERPRISE: [(&str, &str, &str); 3] = [
    (
        "helpdesk.ticket",
        "helpdesk",
        "name:char! ticket_ref:char description:html partner_id:m2o=res.partner partner_name:char partner_email:char partner_phone:char \
         team_id:m2o=helpdesk.team stage_id:m2o=helpdesk.stage priority:selection=0,1,2,3 active:boolean access_url:char \
         create_date:datetime write_date:datetime",
    ),
    ("helpdesk.stage", "helpdesk", "name:char! fold:boolean sequence:integer team_ids:m2m=helpdesk.team"),
    ("helpdesk.team", "helpdesk", "name:char!"),
];

/// OCA's helpdesk_mgmt, after its own source (16.0.2.14, 18.0.1.19).
const OCA: [(&str, &str, &str); 4] = [
    (
        "helpdesk.ticket",
        "helpdesk",
        "name:char! number:char description:html! partner_id:m2o=res.partner partner_name:char partner_email:char \
         team_id:m2o=helpdesk.ticket.team category_id:m2o=helpdesk.ticket.category stage_id:m2o=helpdesk.ticket.stage \
         priority:selection=0,1,2,3 active:boolean access_url:char create_date:datetime write_date:datetime",
    ),
    (
        "helpdesk.ticket.stage",
        "helpdesk",
        "name:char! closed:boolean fold:boolean sequence:integer team_ids:m2m=helpdesk.ticket.team",
    ),
    ("helpdesk.ticket.team", "helpdesk", "name:char!"),
    ("helpdesk.ticket.category", "helpdesk", "name:char!"),
];

/// Which tickets an Odoo has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helpdesk {
    /// None.
    None,
    /// Odoo's own, which costs.
    Enterprise,
    /// helpdesk_mgmt of the Odoo Community Association.
    Oca,
}

/// Fields by name, by model.
pub(super) type Schema = BTreeMap<String, BTreeMap<String, Field>>;

pub(super) fn schema(version: u32, helpdesk: Helpdesk, apps: &[&str]) -> Schema {
    let desk: &[(&str, &str, &str)] = match helpdesk {
        Helpdesk::None => &[],
        Helpdesk::Enterprise => &ENTERPRISE,
        Helpdesk::Oca => &OCA,
    };
    let has = |app: &str| app == "base" || app == "helpdesk" || apps.contains(&app);
    let there = MODELS.iter().chain(desk).filter(|(_, app, _)| has(app));
    there
        .map(|(model, _, fields)| {
            let mut all: BTreeMap<String, Field> = BTreeMap::new();
            for field in fields.split_whitespace() {
                let (field, app) = field.split_once('#').unwrap_or((field, "base"));
                let (field, versions) = field.split_once('@').unwrap_or((field, "0-99"));
                let (from, to) = versions.split_once('-').unwrap_or(("0", "99"));
                let within = from.parse().is_ok_and(|from: u32| from <= version)
                    && to.parse().is_ok_and(|to: u32| version <= to);
                if !within || !has(app) {
                    continue;
                }
                let (field, required) = field.strip_suffix('!').map_or((field, false), |field| (field, true));
                let (name, kind) = field.split_once(':').unwrap_or((field, "char"));
                let (kind, about) = kind.split_once('=').map_or((kind, None), |(kind, about)| (kind, Some(about)));
                let (about, inverse) = about.map_or((None, None), |a| {
                    a.split_once('~').map_or((Some(a), None), |(a, inverse)| (Some(a), Some(inverse.to_owned())))
                });
                let choices = about.filter(|_| kind == "selection").map(|a| a.split(',').map(str::to_owned).collect());
                let comodel = about.filter(|_| kind != "selection").map(str::to_owned);
                let choices = choices.unwrap_or_default();
                all.insert(name.to_owned(), Field { kind: kind.to_owned(), comodel, inverse, choices, required });
            }
            all.insert(
                "id".into(),
                Field { kind: "integer".into(), comodel: None, inverse: None, choices: vec![], required: false },
            );
            ((*model).to_owned(), all)
        })
        .collect()
}
